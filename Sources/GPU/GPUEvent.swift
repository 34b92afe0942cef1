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

/// How often one XID happened to one GPU since the agent started.
public struct GPUXIDCount: Sendable, Codable, Equatable {
    /// The whole GPU's UUID; nil when the driver named one that is not known.
    public let uuid: String?
    /// The XID error number.
    public let xid: UInt64
    /// How often.
    public var count: UInt64
    /// CLOCK_BOOTTIME in nanoseconds when it was seen last.
    public var lastBoottime: UInt64

    /// Counts one.
    public init(uuid: String?, xid: UInt64, count: UInt64, lastBoottime: UInt64) {
        self.uuid = uuid
        self.xid = xid
        self.count = count
        self.lastBoottime = lastBoottime
    }

    enum CodingKeys: String, CodingKey {
        case uuid, xid, count
        case lastBoottime = "last_boottime_ns"
    }
}

/// What sampling costs, for the agent's own metrics.
public struct GPUSamplingStatistics: Sendable, Codable, Equatable {
    /// Calls into NVML since the agent started, those of the thread that waits for events left out.
    public var nvmlCalls: UInt64 = 0
    /// Nanoseconds spent in them.
    public var nvmlNanoseconds: UInt64 = 0
    /// Nanoseconds the last tick took in all.
    public var tickNanoseconds: UInt64 = 0
    /// Nanoseconds of the last tick outside NVML.
    public var ownNanoseconds: UInt64 = 0
    /// How often a call did not return for too long.
    public var hangs: UInt64 = 0

    /// Nothing yet.
    public init() {}

    enum CodingKeys: String, CodingKey {
        case hangs
        case nvmlCalls = "nvml_calls"
        case nvmlNanoseconds = "nvml_ns"
        case tickNanoseconds = "tick_ns"
        case ownNanoseconds = "own_ns"
    }
}
