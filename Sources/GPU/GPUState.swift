/// Whether NVML answers at all, and if not, why.
public enum GPUState: String, Sendable, Codable, CaseIterable {
    /// The sampler has not finished its first look.
    case starting
    /// NVML answers and at least one GPU is readable.
    case ok
    /// `libnvidia-ml.so.1` cannot be loaded: no driver is mounted into the container. A pod without GPUs is legal.
    case noLibrary = "no_library"
    /// The library loads, but the kernel driver is not there.
    case noDriver = "no_driver"
    /// The driver works and shows no GPU.
    case noGPU = "no_gpu"
    /// The library and the kernel driver are of different versions. Only a new container helps.
    case driverMismatch = "driver_mismatch"
    /// The device cgroup or permissions no longer let this container open the GPU's device files.
    case accessRevoked = "access_revoked"
    /// A call into the driver has not returned for a long time.
    case unresponsive
    /// NVML was let go on request, so that a GPU can be reset or repartitioned.
    case released
    /// Anything else; the snapshot's reason says what.
    case error
}

/// How one GPU or MIG instance is doing.
public enum GPUDeviceState: String, Sendable, Codable, CaseIterable {
    /// It answers.
    case ok
    /// It fell off the bus. It is not asked again but for a rare look whether it came back.
    case lost
    /// It needs a reset before new work can run on it.
    case resetRequired = "reset_required"
    /// The driver refuses to answer this user.
    case noPermission = "no_permission"
    /// It answers with errors.
    case error
}

/// A GPU or a MIG instance: what does not change while it exists. Its identity is the UUID.
public struct GPUDevice: Sendable, Codable, Equatable {
    /// `GPU-…` or `MIG-…`, stable across reboots and containers.
    public let uuid: String
    /// The place in NVML's order: a label that may differ between container and host, never an identity.
    public let index: Int
    /// The product's name.
    public let name: String
    /// `domain:bus:device.function` in hexadecimal.
    public let pciBusID: String?
    /// For a MIG instance, the UUID of the GPU it is a part of.
    public let parentUUID: String?
    /// For a MIG instance, its profile, such as `1g.10gb`.
    public let migProfile: String?
    /// For a MIG instance, the GPU instance id.
    public let migGPUInstanceID: Int?
    /// For a MIG instance, the compute instance id.
    public let migComputeInstanceID: Int?
    /// True for a whole GPU that is split into MIG instances: those are used, not it.
    public let isPartitioned: Bool
    /// Memory size in bytes.
    public let memoryTotalBytes: UInt64?

    /// Describes a device.
    public init(
        uuid: String, index: Int, name: String, pciBusID: String? = nil, parentUUID: String? = nil,
        migProfile: String? = nil, migGPUInstanceID: Int? = nil, migComputeInstanceID: Int? = nil,
        isPartitioned: Bool = false, memoryTotalBytes: UInt64? = nil
    ) {
        self.uuid = uuid
        self.index = index
        self.name = name
        self.pciBusID = pciBusID
        self.parentUUID = parentUUID
        self.migProfile = migProfile
        self.migGPUInstanceID = migGPUInstanceID
        self.migComputeInstanceID = migComputeInstanceID
        self.isPartitioned = isPartitioned
        self.memoryTotalBytes = memoryTotalBytes
    }

    enum CodingKeys: String, CodingKey {
        case uuid, index, name
        case pciBusID = "pci_bus_id"
        case parentUUID = "parent_uuid"
        case migProfile = "mig_profile"
        case migGPUInstanceID = "mig_gpu_instance_id"
        case migComputeInstanceID = "mig_compute_instance_id"
        case isPartitioned = "partitioned"
        case memoryTotalBytes = "memory_total_bytes"
    }
}

/// What one device answered in one tick. What it does not support, refuses or answers with nonsense is nil, never 0.
public struct GPUSample: Sendable, Codable, Equatable {
    /// The device.
    public let uuid: String
    /// CLOCK_BOOTTIME in nanoseconds when the device had answered.
    public var boottime: UInt64
    /// How it is doing.
    public var state: GPUDeviceState
    /// Percent of the driver's last sample period (1/6 s to 1 s) in which a kernel ran.
    public var utilizationGPUPercent: Int?
    /// Percent of that period in which memory was read or written. Not how full it is.
    public var utilizationMemoryPercent: Int?
    /// Bytes in use by programs. With drivers before R510 this includes what the driver reserves.
    public var memoryUsedBytes: UInt64?
    /// Bytes free.
    public var memoryFreeBytes: UInt64?
    /// Bytes the driver keeps for itself.
    public var memoryReservedBytes: UInt64?
    /// Power draw in milliwatts.
    public var powerMilliwatts: UInt64?
    /// Energy used since the driver was loaded, in millijoules. Starts again at 0 with the driver.
    public var energyMillijoules: UInt64?
    /// Core temperature in degrees Celsius.
    public var temperatureCelsius: Int?
    /// Clock of the streaming multiprocessors in megahertz.
    public var smClockMHz: Int?
    /// Memory clock in megahertz; looked at every few ticks only.
    public var memoryClockMHz: Int?
    /// Uncorrected ECC errors since the driver was loaded.
    public var eccUncorrected: UInt64?
    /// Why clocks are lower than they could be: NVML's bits, 0x4 power cap, 0x8 hardware slowdown, 0x20 and 0x40 heat.
    public var clockEventReasons: UInt64?
    /// What the driver asks for: 0 nothing, 1 GPU reset, 2 node reboot, 3 drain and reset, and so on. R570 or newer.
    public var recoveryAction: Int?

    /// A sample without readings.
    public init(uuid: String, boottime: UInt64, state: GPUDeviceState) {
        self.uuid = uuid
        self.boottime = boottime
        self.state = state
    }

    enum CodingKeys: String, CodingKey {
        case uuid, state
        case boottime = "boottime_ns"
        case utilizationGPUPercent = "utilization_gpu_percent"
        case utilizationMemoryPercent = "utilization_memory_percent"
        case memoryUsedBytes = "memory_used_bytes"
        case memoryFreeBytes = "memory_free_bytes"
        case memoryReservedBytes = "memory_reserved_bytes"
        case powerMilliwatts = "power_milliwatts"
        case energyMillijoules = "energy_millijoules"
        case temperatureCelsius = "temperature_celsius"
        case smClockMHz = "sm_clock_mhz"
        case memoryClockMHz = "memory_clock_mhz"
        case eccUncorrected = "ecc_uncorrected"
        case clockEventReasons = "clock_event_reasons"
        case recoveryAction = "recovery_action"
    }
}

/// Something the driver reported about a device, such as an XID.
public struct GPUEvent: Sendable, Codable, Equatable {
    /// Counts events of this sampler from 1, without holes: what is missing was pushed out of the bounded list.
    public let serial: UInt64
    /// The whole GPU's UUID; nil when the driver named one that is not known.
    public let uuid: String?
    /// The XID error number (NVIDIA's XID catalogue; 79 is a GPU fallen off the bus).
    public let xid: UInt64
    /// CLOCK_BOOTTIME in nanoseconds when it was seen, at most one tick after it happened.
    public let boottime: UInt64
    /// The GPU instance concerned, when only that one is.
    public let gpuInstanceID: Int?
    /// The compute instance concerned, when only that one is.
    public let computeInstanceID: Int?

    /// Describes an event.
    public init(
        serial: UInt64, uuid: String?, xid: UInt64, boottime: UInt64, gpuInstanceID: Int? = nil,
        computeInstanceID: Int? = nil
    ) {
        self.serial = serial
        self.uuid = uuid
        self.xid = xid
        self.boottime = boottime
        self.gpuInstanceID = gpuInstanceID
        self.computeInstanceID = computeInstanceID
    }

    enum CodingKeys: String, CodingKey {
        case serial, uuid, xid
        case boottime = "boottime_ns"
        case gpuInstanceID = "gpu_instance_id"
        case computeInstanceID = "compute_instance_id"
    }
}

/// Everything known about the GPUs at one moment. Immutable: readers never wait for NVML.
public struct GPUSnapshot: Sendable, Codable, Equatable {
    /// Whether NVML answers.
    public var state: GPUState
    /// What is wrong and what to do about it, in one line; empty when nothing is.
    public var reason: String
    /// The kernel driver's version, such as `570.86.15`.
    public var driverVersion: String?
    /// The library's version, such as `12.570.86.15`; known even when the driver does not answer.
    public var nvmlVersion: String?
    /// The newest CUDA version the driver supports, such as `12.8`.
    public var cudaDriverVersion: String?
    /// Whole GPUs in NVML's order, each followed by its MIG instances. A lost GPU stays in the list.
    public var devices: [GPUDevice]
    /// One for each device, in the same order, unless the first tick is still to come.
    public var samples: [GPUSample]
    /// GPUs that NVML counts but does not let this container see.
    public var hiddenDevices: Int
    /// GPUs that NVML counts but that never answered, so that not even their UUID is known.
    public var failedDevices: Int
    /// The last events, oldest first, at most ``GPUSampler/eventLimit``.
    public var events: [GPUEvent]
    /// Counts ticks from 1; 0 before the first.
    public var tick: UInt64
    /// CLOCK_BOOTTIME in nanoseconds when this was true.
    public var asOf: UInt64

    /// A snapshot; all but the state may be left out.
    public init(
        state: GPUState, reason: String = "", driverVersion: String? = nil, nvmlVersion: String? = nil,
        cudaDriverVersion: String? = nil, devices: [GPUDevice] = [], samples: [GPUSample] = [],
        hiddenDevices: Int = 0, failedDevices: Int = 0, events: [GPUEvent] = [], tick: UInt64 = 0, asOf: UInt64 = 0
    ) {
        self.state = state
        self.reason = reason
        self.driverVersion = driverVersion
        self.nvmlVersion = nvmlVersion
        self.cudaDriverVersion = cudaDriverVersion
        self.devices = devices
        self.samples = samples
        self.hiddenDevices = hiddenDevices
        self.failedDevices = failedDevices
        self.events = events
        self.tick = tick
        self.asOf = asOf
    }

    /// What can be allocated and metered: MIG instances, and GPUs that are not split into some.
    public var allocatableDevices: [GPUDevice] { devices.filter { !$0.isPartitioned } }

    enum CodingKeys: String, CodingKey {
        case state, reason, devices, samples, events, tick
        case driverVersion = "driver_version"
        case nvmlVersion = "nvml_version"
        case cudaDriverVersion = "cuda_driver_version"
        case hiddenDevices = "hidden_devices"
        case failedDevices = "failed_devices"
        case asOf = "as_of_boottime_ns"
    }
}
