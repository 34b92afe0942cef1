public import UsageRecord

/// What one second of looking at the GPUs gave: the only input of ``Meter``.
public struct MeterTick: Sendable, Equatable {
    /// CLOCK_BOOTTIME in nanoseconds when the devices were read.
    public var boottime: UInt64
    /// CLOCK_REALTIME in milliseconds since 1970 UTC at the same moment.
    public var realtimeMilliseconds: Int64
    /// Nanoseconds the machine was suspended since the last tick: how much further CLOCK_BOOTTIME went than
    /// CLOCK_MONOTONIC. 0 when not known.
    public var suspended: UInt64
    /// Every device that was seen or that answered with an error.
    public var devices: [DeviceReading]

    /// Makes a tick.
    public init(boottime: UInt64, realtimeMilliseconds: Int64, suspended: UInt64 = 0, devices: [DeviceReading]) {
        self.boottime = boottime
        self.realtimeMilliseconds = realtimeMilliseconds
        self.suspended = suspended
        self.devices = devices
    }
}

/// One device at one moment. A quantity that the device does not support or that was not read is nil, never 0.
public struct DeviceReading: Sendable, Equatable {
    /// Whether the values can be trusted.
    public enum State: Sendable, Equatable {
        /// The device answered.
        case ok
        /// The device did not answer (NVML_ERROR_GPU_IS_LOST, a time-out, ...).
        case lost
    }

    /// NVML's UUID of the GPU or MIG instance.
    public var uuid: String
    /// Whether the device answered.
    public var state: State
    /// Nanoseconds in which the device worked, counted since some moment before: nothing between two looks is lost. A
    /// counter that went back starts over.
    public var busyNanoseconds: UInt64?
    /// Where there is no such counter, utilisation in percent over the last sampling period; above 100 is taken as not read.
    public var utilizationPercent: UInt32?
    /// The device's energy counter in millijoules (nvmlDeviceGetTotalEnergyConsumption).
    public var energyMillijoules: UInt64?
    /// Memory in use in bytes; above 16 TiB is taken as not read.
    public var memoryUsedBytes: UInt64?

    /// Makes a reading.
    public init(
        uuid: String, state: State = .ok, busyNanoseconds: UInt64? = nil, utilizationPercent: UInt32? = nil,
        energyMillijoules: UInt64? = nil, memoryUsedBytes: UInt64? = nil
    ) {
        self.uuid = uuid
        self.state = state
        self.busyNanoseconds = busyNanoseconds
        self.utilizationPercent = utilizationPercent
        self.energyMillijoules = energyMillijoules
        self.memoryUsedBytes = memoryUsedBytes
    }
}

/// A closed piece of time of one device, before it has an identity.
public struct ClosedSpan: Sendable, Equatable {
    /// NVML's UUID of the GPU or MIG instance.
    public var gpuUUID: String
    /// Whose CLOCK_BOOTTIME the span is in.
    public var bootID: String
    /// Start, inclusive, CLOCK_BOOTTIME in milliseconds.
    public var startMilliseconds: UInt64
    /// End, exclusive, CLOCK_BOOTTIME in milliseconds; always after the start.
    public var endMilliseconds: UInt64
    /// CLOCK_REALTIME at the end, milliseconds since 1970 UTC: a label.
    public var endRealtimeMilliseconds: Int64
    /// What was seen.
    public var content: UsageRecord.Content

    /// Makes a span.
    public init(
        gpuUUID: String, bootID: String, startMilliseconds: UInt64, endMilliseconds: UInt64,
        endRealtimeMilliseconds: Int64,
        content: UsageRecord.Content
    ) {
        self.gpuUUID = gpuUUID
        self.bootID = bootID
        self.startMilliseconds = startMilliseconds
        self.endMilliseconds = endMilliseconds
        self.endRealtimeMilliseconds = endRealtimeMilliseconds
        self.content = content
    }
}

/// What the meter wants done.
public enum MeterAction: Sendable, Equatable {
    /// A span was closed and must be recorded. Closed spans of one tick come before its checkpoint.
    case append(ClosedSpan)
    /// The open intervals must be made durable, together with the spans of the same tick.
    case checkpoint(OpenIntervals)
}
