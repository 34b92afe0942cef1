"""A CUDA load that knows how long it kept the GPU busy, and a microbenchmark of kernel launches; needs PyTorch. Each is a program of
its own, `cuda_load.py load SECONDS` and `cuda_load.py launches COUNT`, so that nothing of it is in the process that measures."""

import json
import sys
import time


def boottime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# Name, seconds of work, seconds of pause: bursts shorter than the driver's sample period (1/6 s) too.
PHASES = [("idle", 0, 1), ("all the time", 1, 0), ("half of the time", 0.5, 0.5), ("50 ms of 500", 0.05, 0.45)]


def load(seconds):
    import torch

    device = torch.device("cuda:0")
    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    b, c = torch.randn_like(a), torch.empty_like(a)
    for _ in range(10):
        torch.matmul(a, b, out=c)
    torch.cuda.synchronize()
    # How many products last about 10 ms: the grain of the bursts.
    start = time.perf_counter()
    for _ in range(20):
        torch.matmul(a, b, out=c)
    torch.cuda.synchronize()
    grain = max(1, int(0.01 / ((time.perf_counter() - start) / 20)))

    for name, work, pause in PHASES:
        time.sleep(3)  # the samples of the phase before are read
        begin, busy = boottime(), 0.0
        print(json.dumps({"phase": name, "event": "begin", "at": begin}), flush=True)
        while boottime() - begin < seconds:
            burst = time.perf_counter()
            while work and time.perf_counter() - burst < work:
                first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                first.record()
                for _ in range(grain):
                    torch.matmul(a, b, out=c)
                last.record()
                last.synchronize()
                busy += first.elapsed_time(last) / 1000
            time.sleep(pause)
        print(json.dumps({"phase": name, "event": "end", "at": boottime(), "busy_s": busy}), flush=True)


def launches(count):
    """Nanoseconds from the launch of an empty kernel to its end, as the caller sees them."""
    import torch

    x = torch.zeros(1, device="cuda:0")
    for _ in range(2000):
        x.add_(1)
        torch.cuda.synchronize()
    report(lambda: (x.add_(1), torch.cuda.synchronize()), count)


def report(call, count):
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    times.sort()
    print(json.dumps({
        "median_us": times[count // 2] / 1000, "p99_us": times[count * 99 // 100] / 1000,
        "p999_us": times[count * 999 // 1000] / 1000, "most_us": times[-1] / 1000}))


def simulated_load(seconds, scenario_path):
    """The same reports with the NVML simulator in place of a GPU: busy is what the scenario says."""
    import os

    def utilize(percent):
        text = open(scenario_path).read().split("# load\n")[0]
        with open(scenario_path + ".load", "w") as file:
            file.write(f"{text}# load\ngpu.0.utilization.gpu = {percent}\ngpu.0.power.mw = {70000 + 6000 * percent}\n")
        os.rename(scenario_path + ".load", scenario_path)

    for name, work, pause in PHASES:
        percent = round(100 * work / (work + pause))
        utilize(0)
        time.sleep(1.5)
        begin = boottime()
        print(json.dumps({"phase": name, "event": "begin", "at": begin}), flush=True)
        utilize(percent)
        time.sleep(seconds)
        utilize(0)
        end = boottime()
        print(json.dumps({"phase": name, "event": "end", "at": end, "busy_s": (end - begin) * percent / 100}), flush=True)


if __name__ == "__main__":
    kind, amount, *rest = sys.argv[1:]
    if kind == "load":
        load(float(amount))
    elif kind == "launches":
        launches(int(amount))
    elif kind == "simulated-load":
        simulated_load(float(amount), rest[0])
    else:
        report(lambda: time.clock_gettime(time.CLOCK_BOOTTIME), int(amount))
