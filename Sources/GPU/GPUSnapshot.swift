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
    /// How often each XID happened since the agent started, and when last.
    public var xidCounts: [GPUXIDCount]
    /// How often the driver reported something else: `ecc_single_bit`, `ecc_double_bit`, `power_source`, `mig_configuration`, ...
    public var eventCounts: [String: UInt64]
    /// Counts openings of NVML from 1: handles of an older one are void.
    public var generation: UInt64
    /// What sampling costs.
    public var statistics: GPUSamplingStatistics
    /// Counts ticks from 1; 0 before the first.
    public var tick: UInt64
    /// CLOCK_BOOTTIME in nanoseconds when this was true.
    public var asOf: UInt64

    /// A snapshot; all but the state may be left out.
    public init(
        state: GPUState, reason: String = "", driverVersion: String? = nil, nvmlVersion: String? = nil,
        cudaDriverVersion: String? = nil, devices: [GPUDevice] = [], samples: [GPUSample] = [],
        hiddenDevices: Int = 0, failedDevices: Int = 0, events: [GPUEvent] = [], xidCounts: [GPUXIDCount] = [],
        eventCounts: [String: UInt64] = [:],
        generation: UInt64 = 0, statistics: GPUSamplingStatistics = .init(), tick: UInt64 = 0, asOf: UInt64 = 0
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
        self.xidCounts = xidCounts
        self.eventCounts = eventCounts
        self.generation = generation
        self.statistics = statistics
        self.tick = tick
        self.asOf = asOf
    }

    /// What can be allocated and metered: MIG instances, and GPUs that are not split into some.
    public var allocatableDevices: [GPUDevice] { devices.filter { !$0.isPartitioned } }

    enum CodingKeys: String, CodingKey {
        case state, reason, devices, samples, events, tick, generation, statistics
        case xidCounts = "xid_counts"
        case eventCounts = "event_counts"
        case driverVersion = "driver_version"
        case nvmlVersion = "nvml_version"
        case cudaDriverVersion = "cuda_driver_version"
        case hiddenDevices = "hidden_devices"
        case failedDevices = "failed_devices"
        case asOf = "as_of_boottime_ns"
    }
}
