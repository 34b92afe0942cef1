"""The simulator under programs nobody here wrote: nvidia-ml-py, gpustat and nvitop.

Each test runs a program of its own in a child process, with the simulator as the only libnvidia-ml it can find.
Run by scripts/test-nvml-simulator, which builds the simulator and installs the programs.
"""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

BUILDS = os.environ["NVML_SIMULATOR_BUILDS"]
BIN = os.path.dirname(sys.executable)

TWO_GPUS = """
driver.version = 570.86.15
driver.level = R570
gpu.count = 2
gpu.0.uuid = GPU-11111111-2222-3333-4444-555555555555
gpu.0.utilization.gpu = 73
gpu.0.utilization.memory = 41
gpu.0.memory.used_mib = 12345
gpu.0.power.mw = 456789
gpu.0.temperature.c = 61
gpu.0.clock.sm_mhz = 1755
gpu.0.ecc.uncorrected_volatile = 2
gpu.1.name = NVIDIA H200
gpu.1.memory.total_mib = 143771
gpu.1.power.mw = unsupported
"""

# What every child program starts with: `scenario(text)` replaces the file as an editor would, in one step.
PRELUDE = """
import os, sys, time, threading
from pynvml import *
def scenario(text):
    path = os.environ["NVML_SIMULATOR_SCENARIO"]
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)
def code(function, *arguments):
    try:
        return function(*arguments)
    except NVMLError as error:
        return error.value
def wait(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited 20 s in vain"
        time.sleep(0.005)
"""


class Simulator(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="nvml-simulator-")
        self.addCleanup(directory.cleanup)
        self.scenario = os.path.join(directory.name, "scenario")

    def run_program(self, arguments, scenario, build="current"):
        with open(self.scenario, "w") as file:
            file.write(scenario)
        environment = dict(
            os.environ,
            LD_LIBRARY_PATH=os.path.join(BUILDS, build),
            NVML_SIMULATOR_SCENARIO=self.scenario,
            TERM="dumb",
            COLUMNS="120",
            PYTHONIOENCODING="utf-8",
            LANG="C.UTF-8",
        )
        result = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result

    def run_python(self, code, scenario=TWO_GPUS, build="current"):
        """Runs `code`, which prints one JSON value, and returns that value."""
        program = PRELUDE + "\nimport json\n" + textwrap.dedent(code)
        return json.loads(self.run_program([sys.executable, "-c", program], scenario, build).stdout)

    # ---- the three programs ----

    def test_gpustat_prints_the_scenario(self):
        output = self.run_program([os.path.join(BIN, "gpustat"), "--json"], TWO_GPUS).stdout
        report = json.loads(output)
        self.assertEqual(report["driver_version"], "570.86.15")
        first, second = report["gpus"]
        self.assertEqual(first["uuid"], "GPU-11111111-2222-3333-4444-555555555555")
        self.assertEqual(first["name"], "NVIDIA H100 80GB HBM3")
        self.assertEqual(first["utilization.gpu"], 73)
        self.assertEqual(first["temperature.gpu"], 61)
        self.assertEqual(first["power.draw"], 456)
        self.assertEqual((first["memory.used"], first["memory.total"]), (12345, 81559))
        self.assertIsNone(first["fan.speed"])
        self.assertEqual(second["name"], "NVIDIA H200")
        self.assertIsNone(second["power.draw"])

    def test_nvitop_prints_the_scenario(self):
        output = self.run_program([os.path.join(BIN, "nvitop"), "-1", "--no-unicode"], TWO_GPUS).stdout
        for expected in ["Driver Version: 570.86.15", "CUDA Driver Version: 12.8", "H100 80GB HBM3", "457W / 700W",
                         "12345MiB / 79.65GiB", "73%", "61C", "H200"]:
            self.assertIn(expected, output)

    def test_nvitop_shows_mig_instances(self):
        scenario = "gpu.0.mig.mode = true\ngpu.0.mig.0.profile = 3g.40gb\ngpu.0.mig.0.gi = 2\ngpu.0.mig.0.ci = 0\n"
        output = self.run_program([os.path.join(BIN, "nvitop"), "-1", "--no-unicode"], scenario).stdout
        self.assertIn("Enabled", output)
        self.assertIn("3g.40gb @ GI/CI: 2/0", output)

    def test_gpustat_and_nvitop_attribute_memory_to_a_process(self):
        scenario = f"gpu.0.processes = {os.getpid()}:2048\n"
        report = json.loads(self.run_program([os.path.join(BIN, "gpustat"), "--json"], scenario).stdout)
        (process,) = report["gpus"][0]["processes"]
        self.assertEqual((process["pid"], process["gpu_memory_usage"]), (os.getpid(), 2048))
        output = self.run_program([os.path.join(BIN, "nvitop"), "-1", "--no-unicode"], scenario).stdout
        self.assertIn("2048MiB", output)

    def test_nvidia_ml_py_reads_every_main_value(self):
        values = self.run_python("""
            nvmlInit()
            gpu = nvmlDeviceGetHandleByIndex(0)
            memory = nvmlDeviceGetMemoryInfo(gpu, version=nvmlMemory_v2)
            (energy,) = nvmlDeviceGetFieldValues(gpu, [NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION])
            before = nvmlDeviceGetTotalEnergyConsumption(gpu)
            wait(lambda: nvmlDeviceGetTotalEnergyConsumption(gpu) > before)
            kind, samples = nvmlDeviceGetSamples(gpu, NVML_GPU_UTILIZATION_SAMPLES, 0)
            print(json.dumps({
                "versions": [nvmlSystemGetDriverVersion(), nvmlSystemGetNVMLVersion(), nvmlSystemGetCudaDriverVersion()],
                "count": nvmlDeviceGetCount(),
                "same": nvmlDeviceGetUUID(nvmlDeviceGetHandleByUUID(nvmlDeviceGetUUID(gpu))) == nvmlDeviceGetUUID(gpu),
                "bus": nvmlDeviceGetPciInfo(gpu).busId,
                "memory": [memory.total, memory.reserved, memory.free, memory.used],
                "memory_v1": nvmlDeviceGetMemoryInfo(gpu).used,
                "utilization": [nvmlDeviceGetUtilizationRates(gpu).gpu, nvmlDeviceGetUtilizationRates(gpu).memory],
                "power": nvmlDeviceGetPowerUsage(gpu),
                "temperature": nvmlDeviceGetTemperature(gpu, NVML_TEMPERATURE_GPU),
                "clock": nvmlDeviceGetClockInfo(gpu, NVML_CLOCK_SM),
                "ecc": nvmlDeviceGetTotalEccErrors(gpu, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC),
                "energy": energy.nvmlReturn == NVML_SUCCESS and energy.value.ullVal > 0,
                "sample": [kind, samples[-1].sampleValue.uiVal],
                "second_power": code(nvmlDeviceGetPowerUsage, nvmlDeviceGetHandleByIndex(1)),
            }))""")
        mib = 1 << 20
        self.assertEqual(values, {
            "versions": ["570.86.15", "12.570.86.15", 12080],
            "count": 2,
            "same": True,
            "bus": "00000000:1B:00.0",
            "memory": [81559 * mib, 551 * mib, (81559 - 551 - 12345) * mib, 12345 * mib],
            "memory_v1": (12345 + 551) * mib,
            "utilization": [73, 41],
            "power": 456789,
            "temperature": 61,
            "clock": 1755,
            "ecc": 2,
            "energy": True,
            "sample": [1, 73],
            "second_power": 3,
        })

    # ---- a scenario that changes, and things that go wrong ----

    def test_values_change_while_a_process_runs(self):
        values = self.run_python("""
            nvmlInit()
            gpu = nvmlDeviceGetHandleByIndex(0)
            seen = [nvmlDeviceGetUtilizationRates(gpu).gpu]
            for percent in (5, 100):
                scenario(f"gpu.count = 1\\ngpu.0.utilization.gpu = {percent}\\n")
                seen.append(nvmlDeviceGetUtilizationRates(gpu).gpu)
            print(json.dumps(seen + [nvmlDeviceGetCount()]))""")
        self.assertEqual(values, [73, 5, 100, 1])

    def test_the_energy_counter_never_falls_when_the_power_does(self):
        grew = self.run_python("""
            nvmlInit()
            gpu = nvmlDeviceGetHandleByIndex(0)
            before = nvmlDeviceGetTotalEnergyConsumption(gpu)
            scenario("gpu.count = 2\\ngpu.0.power.mw = 1\\n")
            print(json.dumps(0 <= nvmlDeviceGetTotalEnergyConsumption(gpu) - before < 1_000_000))""")
        self.assertTrue(grew)

    def test_a_lost_gpu_fails_alone(self):
        values = self.run_python("""
            nvmlInit()
            first, second = nvmlDeviceGetHandleByIndex(0), nvmlDeviceGetHandleByIndex(1)
            scenario("gpu.count = 2\\ngpu.0.lost = true\\n")
            print(json.dumps([nvmlDeviceGetCount(), code(nvmlDeviceGetPowerUsage, first), code(nvmlDeviceGetUUID, first),
                              code(nvmlDeviceGetHandleByIndex, 0), nvmlDeviceGetPowerUsage(second)]))""")
        self.assertEqual(values, [2, 15, 15, 15, 70000])

    def test_mig_instances_have_their_own_values_and_lack_others(self):
        scenario = """
            gpu.0.mig.mode = enabled
            gpu.0.mig.1.uuid = MIG-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee
            gpu.0.mig.1.profile = 1g.10gb
            gpu.0.mig.1.gi = 9
            gpu.0.mig.1.memory.total_mib = 9856
            gpu.0.mig.1.memory.used_mib = 1000
            gpu.0.processes = 100:512:9:0 200:64:3:0
        """
        values = self.run_python("""
            nvmlInit()
            gpu = nvmlDeviceGetHandleByIndex(0)
            mig = nvmlDeviceGetMigDeviceHandleByIndex(gpu, 1)
            named = nvmlDeviceGetHandleByUUID("MIG-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee")
            print(json.dumps({
                "mode": nvmlDeviceGetMigMode(gpu),
                "gap": code(nvmlDeviceGetMigDeviceHandleByIndex, gpu, 0),
                "uuid": nvmlDeviceGetUUID(mig), "same": nvmlDeviceGetUUID(named) == nvmlDeviceGetUUID(mig),
                "name": nvmlDeviceGetName(mig),
                "ids": [nvmlDeviceGetGpuInstanceId(mig), nvmlDeviceGetComputeInstanceId(mig)],
                "used": nvmlDeviceGetMemoryInfo(mig).used,
                "memory_mb": nvmlDeviceGetAttributes(mig).memorySizeMB,
                "pids": [process.pid for process in nvmlDeviceGetComputeRunningProcesses(mig)],
                "utilization": [code(nvmlDeviceGetUtilizationRates, gpu), code(nvmlDeviceGetUtilizationRates, mig)],
                "power": code(nvmlDeviceGetPowerUsage, mig),
                "parent": nvmlDeviceGetUUID(nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig)) == nvmlDeviceGetUUID(gpu),
                "stale": (scenario("gpu.0.mig.mode = enabled\\n"), code(nvmlDeviceGetUUID, mig))[1],
            }))""", scenario)
        self.assertEqual(values, {
            "mode": [1, 1], "gap": 6, "uuid": "MIG-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "same": True,
            "name": "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "ids": [9, 0], "used": 1000 << 20, "memory_mb": 9856,
            "pids": [100], "utilization": [3, 3], "power": 3, "parent": True, "stale": 2,
        })

    def test_init_fails_as_the_scenario_says(self):
        for name, number in [("DRIVER_NOT_LOADED", 9), ("LIB_RM_VERSION_MISMATCH", 18), ("UNKNOWN", 999)]:
            with self.subTest(name):
                values = self.run_python(
                    """
                    print(json.dumps([code(nvmlInit), code(nvmlDeviceGetCount), nvmlSystemGetNVMLVersion()]))""",
                    f"init.result = {name}\ndriver.version = 570.86.15\ndriver.cuda_version = 12080\n")
                self.assertEqual(values, [number, 1, "12.570.86.15"])

    def test_permission_is_denied_where_the_scenario_says(self):
        values = self.run_python("""
            nvmlInit()
            print(json.dumps([code(nvmlDeviceGetHandleByIndex, 0),
                              code(nvmlDeviceGetMemoryInfo, nvmlDeviceGetHandleByIndex(1)),
                              code(nvmlDeviceGetUUID, nvmlDeviceGetHandleByIndex(1))]))""", """
            gpu.count = 2
            gpu.0.result.nvmlDeviceGetHandleByIndex_v2 = NO_PERMISSION
            gpu.1.result.nvmlDeviceGetMemoryInfo = NO_PERMISSION
            """)
        self.assertEqual(values, [4, 4, "GPU-51a70001-5155-4e4d-8c53-494d554c4154"])

    def test_an_old_driver_lacks_symbols_when_built_without_them(self):
        values = self.run_python("""
            import pynvml
            nvmlInit()
            gpu = nvmlDeviceGetHandleByIndex(0)
            print(json.dumps([hasattr(pynvml.nvmlLib, "nvmlDeviceGetMemoryInfo_v2"),
                              hasattr(pynvml.nvmlLib, "nvmlDeviceGetComputeRunningProcesses_v2"),
                              code(lambda: nvmlDeviceGetMemoryInfo(gpu, version=nvmlMemory_v2)),
                              nvmlDeviceGetMemoryInfo(gpu).used >> 20, nvmlSystemGetDriverVersion()]))""",
            "gpu.0.memory.used_mib = 7\n", build="R470")
        self.assertEqual(values, [False, True, 13, 7, "470.256.02"])
        report = json.loads(self.run_program([os.path.join(BIN, "gpustat"), "--json"],
                                             "gpu.0.memory.used_mib = 7\n", build="R470").stdout)
        self.assertEqual(report["gpus"][0]["memory.used"], 7)

    def test_an_old_driver_lacks_functions_when_the_scenario_says_so(self):
        values = self.run_python("""
            import pynvml
            nvmlInit()
            gpu = nvmlDeviceGetHandleByIndex(0)
            print(json.dumps([hasattr(pynvml.nvmlLib, "nvmlDeviceGetMemoryInfo_v2"),
                              code(lambda: nvmlDeviceGetMemoryInfo(gpu, version=nvmlMemory_v2)),
                              nvmlDeviceGetMemoryInfo(gpu).used >> 20,
                              nvmlDeviceGetFieldValues(gpu, [NVML_FI_DEV_POWER_INSTANT, NVML_FI_DEV_MEMORY_TEMP])[0].nvmlReturn]))""",
            "driver.level = R470\ngpu.0.memory.used_mib = 7\n")
        self.assertEqual(values, [True, 13, 7, 3])

    def test_the_oldest_driver_lists_processes_in_16_bytes_each(self):
        values = self.run_python("""
            import ctypes, pynvml
            nvmlInit()
            class Entry(ctypes.Structure):
                _fields_ = [("pid", ctypes.c_uint), ("memory", ctypes.c_ulonglong)]
            entries, count = (Entry * 2)(), ctypes.c_uint(1)
            list_processes = pynvml.nvmlLib.nvmlDeviceGetComputeRunningProcesses
            gpu = nvmlDeviceGetHandleByIndex(0)
            short = [list_processes(gpu, ctypes.byref(count), entries), count.value]
            full = [list_processes(gpu, ctypes.byref(count), entries)]
            print(json.dumps([hasattr(pynvml.nvmlLib, "nvmlDeviceGetComputeRunningProcesses_v2"), short,
                              full + [[entry.pid, entry.memory >> 20] for entry in entries]]))""",
            "gpu.0.processes = 100:512 200:64\n", build="R450")
        self.assertEqual(values, [False, [7, 2], [0, [100, 512], [200, 64]]])

    def test_535_43_lists_processes_in_32_bytes_each(self):
        """nvitop knows that driver by its symbols and reads its layout; nvidia-ml-py does not."""
        values = self.run_python("""
            from nvitop.api import libnvml
            libnvml.nvmlInit()
            gpu = libnvml.nvmlDeviceGetHandleByIndex(0)
            processes = libnvml.nvmlDeviceGetComputeRunningProcesses(gpu)
            print(json.dumps([[process.pid, process.usedGpuMemory >> 20] for process in processes]))""",
            "gpu.0.processes = 100:512 200:64\n", build="R535.43")
        self.assertEqual(values, [[100, 512], [200, 64]])

    def test_wrong_struct_versions_are_refused(self):
        values = self.run_python("""
            nvmlInit()
            gpu = nvmlDeviceGetHandleByIndex(0)
            print(json.dumps([code(lambda: nvmlDeviceGetMemoryInfo(gpu, version=0x03000028))]))""")
        self.assertEqual(values, [25])

    def test_a_hanging_call_blocks_its_thread_until_the_scenario_changes(self):
        values = self.run_python("""
            nvmlInit()
            first, second = nvmlDeviceGetHandleByIndex(0), nvmlDeviceGetHandleByIndex(1)
            scenario("gpu.count = 2\\ngpu.0.hang.nvmlDeviceGetPowerUsage = true\\n")
            answers = []
            thread = threading.Thread(target=lambda: answers.append(nvmlDeviceGetPowerUsage(first)))
            thread.start()
            meanwhile = [nvmlDeviceGetPowerUsage(second), nvmlDeviceGetTemperature(first, 0), list(answers)]
            thread.join(0.2)
            stuck = thread.is_alive()
            scenario("gpu.count = 2\\ngpu.0.power.mw = 5\\n")
            thread.join(20)
            print(json.dumps([meanwhile, stuck, answers]))""")
        self.assertEqual(values, [[70000, 30, []], True, [5]])

    def test_an_xid_event_is_delivered_once_and_old_ones_never(self):
        values = self.run_python("""
            nvmlInit()
            gpu = nvmlDeviceGetHandleByIndex(0)
            events = nvmlEventSetCreate()
            nvmlDeviceRegisterEvents(gpu, nvmlEventTypeXidCriticalError, events)
            quiet = code(nvmlEventSetWait_v2, events, 0)
            threading.Timer(0.1, lambda: scenario("event.1 = gpu=0 type=xid data=31\\nevent.2 = gpu=0 type=xid data=79\\n")).start()
            event = nvmlEventSetWait_v2(events, 20000)
            after = code(nvmlEventSetWait_v2, events, 0)
            same = nvmlDeviceGetUUID(event.device) == nvmlDeviceGetUUID(gpu)
            nvmlEventSetFree(events)
            print(json.dumps([quiet, event.eventType, event.eventData, event.gpuInstanceId, after, same]))""",
            "event.1 = gpu=0 type=xid data=31\n")
        self.assertEqual(values, [10, 8, 79, 0xFFFFFFFF, 10, True])

    def test_field_values_carry_a_result_and_type_each(self):
        values = self.run_python("""
            nvmlInit()
            gpu = nvmlDeviceGetHandleByIndex(0)
            fields = nvmlDeviceGetFieldValues(gpu, [83, 82, 9999, 230])
            print(json.dumps([field.nvmlReturn for field in fields]
                             + [fields[0].valueType, fields[0].value.dVal, fields[1].valueType, fields[1].value.uiVal]))""",
            "gpu.0.field.83 = double 1234\ngpu.0.field.230 = NO_PERMISSION\ngpu.0.temperature.memory_c = 44\n")
        self.assertEqual(values, [0, 0, 3, 4, 0, 1234.0, 1, 44])

    def test_profiling_metrics_are_read_between_two_samples(self):
        values = self.run_python("""
            nvmlInit()
            gpu = nvmlDeviceGetHandleByIndex(0)
            first, second = nvmlGpmSampleAlloc(), nvmlGpmSampleAlloc()
            wanted = c_nvmlGpmMetricsGet_t()
            wanted.version, wanted.numMetrics, wanted.sample1, wanted.sample2 = 1, 3, first, second
            for place, metric in enumerate([NVML_GPM_METRIC_SM_UTIL, NVML_GPM_METRIC_ANY_TENSOR_UTIL, 9999]):
                wanted.metrics[place].metricId = metric
            early = code(nvmlGpmMetricsGet, wanted)
            nvmlGpmSampleGet(gpu, first)
            nvmlGpmSampleGet(gpu, second)
            nvmlGpmMetricsGet(wanted)
            nvmlGpmSampleFree(first), nvmlGpmSampleFree(second)
            print(json.dumps([nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice, early]
                             + [[metric.nvmlReturn, metric.value] for metric in wanted.metrics[:3]]))""",
            "gpu.0.gpm.sm = 80\ngpu.0.gpm.tensor = 33\n")
        self.assertEqual(values, [1, 2, [0, 80.0], [0, 33.0], [3, 0.0]])

    def test_a_sample_keeps_the_utilization_of_its_own_time(self):
        values = self.run_python("""
            nvmlInit()
            gpu = nvmlDeviceGetHandleByIndex(0)
            scenario("gpu.0.utilization.gpu = 5\\n")
            nvmlDeviceGetUtilizationRates(gpu)
            time.sleep(0.5)
            kind, samples = nvmlDeviceGetSamples(gpu, NVML_GPU_UTILIZATION_SAMPLES, 0)
            print(json.dumps([samples[0].sampleValue.uiVal, samples[-1].sampleValue.uiVal]))""",
            "gpu.0.utilization.gpu = 90\n")
        self.assertEqual(values, [90, 5])

    def test_a_malformed_line_says_so_once_and_the_rest_counts(self):
        text = "what is this\ngpu.0.power.mw = lots\nhang.nvmlNothing = true\ngpu.0.temperature.c = 55\n"
        program = PRELUDE + "nvmlInit()\ngpu = nvmlDeviceGetHandleByIndex(0)\n" \
            "print(nvmlDeviceGetTemperature(gpu, 0), nvmlDeviceGetPowerUsage(gpu))\n"
        result = self.run_program([sys.executable, "-c", program], text)
        self.assertEqual(result.stdout, "55 70000\n")
        self.assertEqual(result.stderr.splitlines(), [
            f"nvml-simulator: {self.scenario}:1: what is this: expected key = value; line ignored",
            f"nvml-simulator: {self.scenario}:2: gpu.0.power.mw: expected a whole number or unsupported; line ignored",
            f"nvml-simulator: {self.scenario}:3: hang.nvmlNothing: unknown function; line ignored",
        ])

    def test_eight_threads_and_a_changing_scenario_get_along(self):
        values = self.run_python("""
            nvmlInit()
            stop, wrong = threading.Event(), []
            def read(index):
                gpu = nvmlDeviceGetHandleByIndex(index)
                while not stop.is_set():
                    if nvmlDeviceGetPowerUsage(gpu) not in (1000, 2000) or len(nvmlDeviceGetComputeRunningProcesses(gpu)) != 1:
                        wrong.append(index)
            def text(power):
                return f"gpu.count = 8\\ngpu.*.power.mw = {power}\\ngpu.*.processes = 1:1\\n"
            scenario(text(1000))
            threads = [threading.Thread(target=read, args=(index,)) for index in range(8)]
            [thread.start() for thread in threads]
            for turn in range(200):
                scenario(text(1000 + 1000 * (turn % 2)))
            stop.set()
            [thread.join() for thread in threads]
            print(json.dumps(wrong))""", "gpu.count = 8\n")
        self.assertEqual(values, [])


if __name__ == "__main__":
    unittest.main()
