/// How long a device was busy, as a counter: what happens between two looks is in it.
///
/// `busy <= observed`, and observed and unobserved together are the time since the agent first saw the device, but for
/// the driver's last sample period. Unobserved time is neither busy nor idle.
public struct GPUBusyTime: Sendable, Codable, Equatable {
    /// Where the numbers come from.
    public enum Method: String, Sendable, Codable {
        /// The driver's own samples, up to six a second (nvmlDeviceGetSamples).
        case samples
        /// One look a tick at the driver's last sample period (nvmlDeviceGetUtilizationRates): what happened between
        /// periods is missed.
        case rates
        /// The profiling counters between two ticks (nvmlGpmMetricsGet, graphics utilization): of the MIG instance itself.
        case profiling
    }

    /// Where the numbers come from; the last one, when it changed.
    public var method: Method
    /// Nanoseconds busy.
    public var busyNanoseconds: UInt64
    /// Nanoseconds known to be busy or idle.
    public var observedNanoseconds: UInt64
    /// Nanoseconds of which nothing is known: the driver's buffer ran over, the clock was set, a value was nonsense.
    public var unobservedNanoseconds: UInt64

    /// A counter at 0, unless told otherwise.
    public init(
        method: Method = .samples, busyNanoseconds: UInt64 = 0, observedNanoseconds: UInt64 = 0,
        unobservedNanoseconds: UInt64 = 0
    ) {
        self.method = method
        self.busyNanoseconds = busyNanoseconds
        self.observedNanoseconds = observedNanoseconds
        self.unobservedNanoseconds = unobservedNanoseconds
    }

    enum CodingKeys: String, CodingKey {
        case method
        case busyNanoseconds = "busy_ns"
        case observedNanoseconds = "observed_ns"
        case unobservedNanoseconds = "unobserved_ns"
    }
}

/// What the parts of a GPU or MIG instance did between two ticks, from its profiling counters (GPM).
public struct GPUActivity: Sendable, Codable, Equatable {
    /// Percent of the time in which any kernel ran.
    public var graphicsPercent: Double?
    /// Percent of the streaming multiprocessors that were busy.
    public var smPercent: Double?
    /// Percent of the possible warps that were resident.
    public var smOccupancyPercent: Double?
    /// Percent of the time in which tensor cores worked.
    public var tensorPercent: Double?
    /// Percent of the memory bandwidth in use.
    public var dramPercent: Double?
    /// Percent of the time in which units for 64-bit floating point worked.
    public var fp64Percent: Double?
    /// Percent of the time in which units for 32-bit floating point worked.
    public var fp32Percent: Double?
    /// Percent of the time in which units for 16-bit floating point worked.
    public var fp16Percent: Double?
    /// Bytes per second sent over PCIe.
    public var pcieTransmitBytesPerSecond: Double?
    /// Bytes per second received over PCIe.
    public var pcieReceiveBytesPerSecond: Double?
    /// Bytes per second sent over all NVLinks.
    public var nvlinkTransmitBytesPerSecond: Double?
    /// Bytes per second received over all NVLinks.
    public var nvlinkReceiveBytesPerSecond: Double?

    /// Nothing known.
    public init() {}

    enum CodingKeys: String, CodingKey {
        case graphicsPercent = "graphics_percent"
        case smPercent = "sm_percent"
        case smOccupancyPercent = "sm_occupancy_percent"
        case tensorPercent = "tensor_percent"
        case dramPercent = "dram_percent"
        case fp64Percent = "fp64_percent"
        case fp32Percent = "fp32_percent"
        case fp16Percent = "fp16_percent"
        case pcieTransmitBytesPerSecond = "pcie_transmit_bytes_per_second"
        case pcieReceiveBytesPerSecond = "pcie_receive_bytes_per_second"
        case nvlinkTransmitBytesPerSecond = "nvlink_transmit_bytes_per_second"
        case nvlinkReceiveBytesPerSecond = "nvlink_receive_bytes_per_second"
    }
}
