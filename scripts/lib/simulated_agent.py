"""A running agent on the NVML simulator, and what the kernel says of a process, for benchmarks and tests in scripts/."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIMULATOR = ROOT / ".build" / "nvml-simulator" / "libnvidia-ml.so.1"
TICKS = os.sysconf("SC_CLK_TCK")


def agent_binary():
    """PACKET_AGENT_BIN names the directory of the release binary."""
    return str(pathlib.Path(os.environ.get("PACKET_AGENT_BIN", ROOT / ".build-release" / "bin")).resolve() / "packet-agent")


def build_simulator():
    subprocess.run([ROOT / "scripts" / "build-nvml-simulator", SIMULATOR.parent], check=True, stdout=subprocess.DEVNULL)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url, timeout=10):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


class Agent:
    """`packet-agent run` with directories of its own and no environment layers, so that it changes nothing on this machine."""

    def __init__(self, scenario="", library=SIMULATOR, log=subprocess.DEVNULL, starts=True, prefix=(), **settings):
        self.starts, self.prefix = starts, list(prefix)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="packet-agent-simulated."))
        self.scenario = self.directory / "scenario"
        self.change(scenario)
        self.port = free_port()
        self.log = log
        self.process = None
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.directory), "NVML_SIMULATOR_SCENARIO": str(self.scenario),
            "NVML_SIMULATOR_CALLS": str(self.directory / "calls"),
            "PACKET_AGENT_CONFIG": str(self.directory / "none.toml"),
            "PACKET_AGENT_AGENT_STATE_DIRECTORY": str(self.directory / "state"),
            "PACKET_AGENT_AGENT_RUNTIME_DIRECTORY": str(self.directory / "run"),
            "PACKET_AGENT_ENVIRONMENT_ENABLED": "false",
            "PACKET_AGENT_METRICS_LISTEN": f"127.0.0.1:{self.port}", "PACKET_AGENT_GPU_LIBRARY": str(library),
        } | settings

    def change(self, scenario):
        """Replaces the simulator's scenario in one step."""
        new = self.directory / "scenario.new"
        new.write_text(scenario)
        new.rename(self.directory / "scenario")

    def start(self):
        self.process = subprocess.Popen(
            [*self.prefix, agent_binary(), "run", "--no-boot"], env=self.environment, stdin=subprocess.DEVNULL, stderr=self.log)
        return self.process

    def __enter__(self):
        if self.starts:
            self.start()
        return self

    def __exit__(self, *_):
        try:
            if self.process and self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(20)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def calls(self):
        """{function: how often} as the simulator counted, of an agent that has ended."""
        lines = (self.directory / "calls").read_text().splitlines()
        return {name: int(count) for name, count in (line.split() for line in lines)}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/metrics"

    def wait(self, fits=lambda metrics: metrics.get("packet_agent_gpu_ticks_total", 0) >= 1, seconds=60):
        """The first metrics that fit, as {series: value}."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if self.process.poll() is not None:
                raise SystemExit(f"packet-agent run ended with {self.process.returncode}")
            try:
                found = self.metrics()
                if fits(found):
                    return found
            except OSError:
                pass
            time.sleep(0.02)
        raise SystemExit(f"packet-agent did not come to the state that was waited for in {seconds} s")

    def metrics(self):
        found = {}
        for line in get(self.url).splitlines():
            if line and not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                found[series] = float(value)
        return found

    def command(self, *arguments):
        """What a command of the command line prints as JSON."""
        return json.loads(subprocess.run(
            [agent_binary(), *arguments, "--json"], env=self.environment, check=True, stdout=subprocess.PIPE).stdout)


def status(pid):
    """The fields of proc_pid_status(5)."""
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        fields[name] = value.split()
    return fields


def cpu_seconds(pid, children=False):
    """User and system time of all threads, ended ones too (proc_pid_stat(5)); of ended and awaited children with `children`."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15 if children else 13])) / TICKS


def rollup(pid):
    """Resident and anonymous memory in KiB (proc_pid_smaps(5): smaps_rollup)."""
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        fields[name] = int(value.split()[0])
    return fields["Rss"], fields["Anonymous"]


def descendants(pid):
    """A process and all that it started, as they are now."""
    found, wait = [], [pid]
    while wait:
        each = wait.pop()
        found.append(each)
        try:
            for task in pathlib.Path(f"/proc/{each}/task").iterdir():
                wait += map(int, (task / "children").read_text().split())
        except OSError:
            pass
    return found
