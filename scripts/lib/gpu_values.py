"""Every value of a GPU three times: as packet-agent, nvidia-smi and nvidia-ml-py (pynvml) say it."""

import re
import statistics
import subprocess


def mebi(value):
    return None if value is None else value / (1 << 20)


def milli(value):
    return None if value is None else value / 1000


def path(document, *keys):
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


# What, unit, ours (device, sample, snapshot), nvidia-smi's --query-gpu field, nvidia-ml-py's (pynvml, handle).
VALUES = [
    ("name", "", lambda d, s, t: d["name"], "name", lambda n, h: n.nvmlDeviceGetName(h)),
    ("UUID", "", lambda d, s, t: d["uuid"], "uuid", lambda n, h: n.nvmlDeviceGetUUID(h)),
    ("PCI address", "", lambda d, s, t: d.get("pci_bus_id"), "pci.bus_id", lambda n, h: n.nvmlDeviceGetPciInfo(h).busId),
    ("VBIOS", "", lambda d, s, t: d.get("vbios_version"), "vbios_version", lambda n, h: n.nvmlDeviceGetVbiosVersion(h)),
    ("driver", "", lambda d, s, t: t.get("driver_version"), "driver_version", lambda n, h: n.nvmlSystemGetDriverVersion()),
    ("memory, total", "MiB", lambda d, s, t: mebi(d.get("memory_total_bytes")), "memory.total",
     lambda n, h: mebi(n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2).total)),
    ("memory, used", "MiB", lambda d, s, t: mebi(s.get("memory_used_bytes")), "memory.used",
     lambda n, h: mebi(n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2).used)),
    ("memory, free", "MiB", lambda d, s, t: mebi(s.get("memory_free_bytes")), "memory.free",
     lambda n, h: mebi(n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2).free)),
    ("memory, reserved", "MiB", lambda d, s, t: mebi(s.get("memory_reserved_bytes")), "memory.reserved",
     lambda n, h: mebi(n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2).reserved)),
    ("utilization", "%", lambda d, s, t: s.get("utilization_gpu_percent"), "utilization.gpu",
     lambda n, h: n.nvmlDeviceGetUtilizationRates(h).gpu),
    ("utilization of memory bandwidth", "%", lambda d, s, t: s.get("utilization_memory_percent"), "utilization.memory",
     lambda n, h: n.nvmlDeviceGetUtilizationRates(h).memory),
    ("encoder", "%", lambda d, s, t: path(s, "details", "encoder_percent"), "utilization.encoder",
     lambda n, h: n.nvmlDeviceGetEncoderUtilization(h)[0]),
    ("decoder", "%", lambda d, s, t: path(s, "details", "decoder_percent"), "utilization.decoder",
     lambda n, h: n.nvmlDeviceGetDecoderUtilization(h)[0]),
    ("power", "W", lambda d, s, t: milli(s.get("power_milliwatts")), "power.draw", lambda n, h: milli(n.nvmlDeviceGetPowerUsage(h))),
    ("power limit", "W", lambda d, s, t: milli(path(s, "details", "power_limit_milliwatts")), "enforced.power.limit",
     lambda n, h: milli(n.nvmlDeviceGetEnforcedPowerLimit(h))),
    ("energy since the driver was loaded", "J", lambda d, s, t: milli(s.get("energy_millijoules")), None,
     lambda n, h: milli(n.nvmlDeviceGetTotalEnergyConsumption(h))),
    ("temperature", "°C", lambda d, s, t: s.get("temperature_celsius"), "temperature.gpu",
     lambda n, h: n.nvmlDeviceGetTemperature(h, n.NVML_TEMPERATURE_GPU)),
    ("temperature of memory", "°C", lambda d, s, t: s.get("memory_temperature_celsius"), "temperature.memory",
     lambda n, h: field(n, h, 82)),
    ("SM clock", "MHz", lambda d, s, t: s.get("sm_clock_mhz"), "clocks.sm", lambda n, h: n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_SM)),
    ("memory clock", "MHz", lambda d, s, t: s.get("memory_clock_mhz"), "clocks.mem",
     lambda n, h: n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_MEM)),
    ("reasons for lower clocks", "bits", lambda d, s, t: s.get("clock_event_reasons"), "clocks_event_reasons.active",
     lambda n, h: n.nvmlDeviceGetCurrentClocksThrottleReasons(h)),
    ("ECC, corrected since the driver was loaded", "", lambda d, s, t: path(s, "details", "ecc_corrected"),
     "ecc.errors.corrected.volatile.total", lambda n, h: n.nvmlDeviceGetTotalEccErrors(h, 0, 0)),
    ("ECC, not corrected since the driver was loaded", "", lambda d, s, t: s.get("ecc_uncorrected"),
     "ecc.errors.uncorrected.volatile.total", lambda n, h: n.nvmlDeviceGetTotalEccErrors(h, 1, 0)),
    ("ECC, corrected ever", "", lambda d, s, t: path(s, "details", "ecc_corrected_aggregate"),
     "ecc.errors.corrected.aggregate.total", lambda n, h: n.nvmlDeviceGetTotalEccErrors(h, 0, 1)),
    ("ECC, not corrected ever", "", lambda d, s, t: path(s, "details", "ecc_uncorrected_aggregate"),
     "ecc.errors.uncorrected.aggregate.total", lambda n, h: n.nvmlDeviceGetTotalEccErrors(h, 1, 1)),
    ("rows remapped after corrected errors", "", lambda d, s, t: path(s, "details", "remapped_rows_correctable"), None,
     lambda n, h: n.nvmlDeviceGetRemappedRows(h)[0]),
    ("rows remapped after uncorrected errors", "", lambda d, s, t: path(s, "details", "remapped_rows_uncorrectable"), None,
     lambda n, h: n.nvmlDeviceGetRemappedRows(h)[1]),
    ("recovery action", "", lambda d, s, t: s.get("recovery_action"), None, lambda n, h: field(n, h, 230)),
    ("PCIe generation", "", lambda d, s, t: path(s, "details", "pcie_generation"), "pcie.link.gen.gpucurrent",
     lambda n, h: n.nvmlDeviceGetCurrPcieLinkGeneration(h)),
    ("PCIe width", "", lambda d, s, t: path(s, "details", "pcie_width"), "pcie.link.width.current",
     lambda n, h: n.nvmlDeviceGetCurrPcieLinkWidth(h)),
    ("PCIe replays", "", lambda d, s, t: path(s, "details", "pcie_replays"), None, lambda n, h: n.nvmlDeviceGetPcieReplayCounter(h)),
    ("PCIe bytes sent", "MiB", lambda d, s, t: mebi(s.get("pcie_transmitted_bytes")), None, lambda n, h: mebi(field(n, h, 197))),
    ("PCIe bytes received", "MiB", lambda d, s, t: mebi(s.get("pcie_received_bytes")), None, lambda n, h: mebi(field(n, h, 198))),
    ("NVLinks", "", lambda d, s, t: path(s, "details", "nvlink_count"), None, lambda n, h: field(n, h, 91)),
    ("NVLink bytes sent", "MiB", lambda d, s, t: mebi(path(s, "details", "nvlink_transmitted_bytes")), None,
     lambda n, h: field(n, h, 138, 0xFFFFFFFF) / 1024),
    ("NVLink bytes received", "MiB", lambda d, s, t: mebi(path(s, "details", "nvlink_received_bytes")), None,
     lambda n, h: field(n, h, 139, 0xFFFFFFFF) / 1024),
    ("throttled by power since the driver was loaded", "s",
     lambda d, s, t: (lambda v: None if v is None else v / 1e9)(path(s, "details", "throttled_ns", "power")), None,
     lambda n, h: field(n, h, 74) / 1e9),
    ("processes", "", lambda d, s, t: (lambda v: None if v is None else len(v))(path(s, "details", "processes")), None,
     lambda n, h: len(n.nvmlDeviceGetComputeRunningProcesses(h))),
]
# Graphics, SM, occupancy, tensor, DRAM of the profiling interface: theirs over a second of its own. Number as in nvml.h.
PROFILED = [("graphics active", "graphics_percent", 1), ("SM active", "sm_percent", 2), ("SM occupancy", "sm_occupancy_percent", 3),
            ("tensor active", "tensor_percent", 5), ("DRAM active", "dram_percent", 10)]


def field(pynvml, handle, number, scope=0):
    (value,) = pynvml.nvmlDeviceGetFieldValues(handle, [(number, scope)])
    if value.nvmlReturn != 0:
        raise pynvml.NVMLError(value.nvmlReturn)
    kinds = ["dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal"]
    return getattr(value.value, kinds[value.valueType])


def theirs(pynvml, handle, read):
    try:
        value = read(pynvml, handle)
    except (pynvml.NVMLError, AttributeError, TypeError):
        return None
    return value.decode() if isinstance(value, bytes) else value


def profiled(pynvml, handle, pause):
    """{name: percent} by nvidia-ml-py between two samples of its own."""
    try:
        first, second = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
    except (pynvml.NVMLError, AttributeError):
        return {}
    try:
        pynvml.nvmlGpmSampleGet(handle, first)
        pause()
        pynvml.nvmlGpmSampleGet(handle, second)
        request = pynvml.c_nvmlGpmMetricsGet_t()
        request.version, request.numMetrics = pynvml.NVML_GPM_METRICS_GET_VERSION, len(PROFILED)
        request.sample1, request.sample2 = first, second
        for place, (_, _, number) in enumerate(PROFILED):
            request.metrics[place].metricId = number
        pynvml.nvmlGpmMetricsGet(request)
        return {name: request.metrics[place].value for place, (name, _, _) in enumerate(PROFILED)
                if request.metrics[place].nvmlReturn == 0}
    except pynvml.NVMLError:
        return {}
    finally:
        pynvml.nvmlGpmSampleFree(first)
        pynvml.nvmlGpmSampleFree(second)


def nvidia_smi(uuid):
    """{field: text} of one GPU; fields this nvidia-smi does not know are left out, as are [N/A]. Empty without nvidia-smi."""
    fields = [value[3] for value in VALUES if value[3]]
    while fields:
        try:
            answer = subprocess.run(
                ["nvidia-smi", "-i", uuid, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        except FileNotFoundError:
            return {}
        unknown = re.search(r'Field "([^"]+)" is not a valid field', answer.stdout)
        if unknown and unknown[1] in fields:
            fields.remove(unknown[1])
            continue
        if answer.returncode != 0:
            return {}
        texts = [text.strip() for text in answer.stdout.strip().split(",")]
        return {name: text for name, text in zip(fields, texts) if not text.startswith("[")}
    return {}


def number(value):
    if isinstance(value, (int, float)) or value is None:
        return value
    try:
        return float(int(value, 16)) if value.startswith("0x") else float(value)
    except ValueError:
        return value


def middle(values):
    """The median of numbers, else the last text; None where nothing was there."""
    values = [each for each in map(number, values) if each is not None]
    if not values:
        return None
    return statistics.median(values) if all(not isinstance(each, str) for each in values) else values[-1]


def shown(value):
    if value is None:
        return "–"
    return str(value) if isinstance(value, str) else f"{value:,.2f}".rstrip("0").rstrip(".")


def table(ours, smi, nvml):
    """Lines of Markdown. Each argument is a list of looks: (device, sample, snapshot), {field: text}, {name: value}."""
    yield "| value | unit | packet-agent | nvidia-smi | nvidia-ml-py |"
    yield "|---|---|---|---|---|"
    for name, unit, read, query, _ in VALUES:
        columns = [middle([read(*look) for look in ours]), middle([look.get(query) for look in smi]),
                   middle([look.get(name) for look in nvml])]
        yield f"| {name} | {unit} | " + " | ".join(map(shown, columns)) + " |"
    for name, key, _ in PROFILED:
        mine = middle([path(sample, "activity", key) for _, sample, _ in ours])
        yield f"| {name} | % | {shown(mine)} | – | {shown(middle([look.get(name) for look in nvml]))} |"
