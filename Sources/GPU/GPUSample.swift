/// What one device answered in one tick. What it does not support, refuses or answers with nonsense is nil, never 0.
public struct GPUSample: Sendable, Codable, Equatable {
    /// The device.
    public let uuid: String
    /// CLOCK_BOOTTIME in nanoseconds when the device had answered.
    public var boottime: UInt64
    /// How it is doing.
    public var state: GPUDeviceState
    /// Percent of the time since the last tick in which a kernel ran: the mean of the driver's samples, or, where there
    /// are none, its last sample period (1/6 s to 1 s). Absent for MIG instances, which have ``activity``.
    public var utilizationGPUPercent: Int?
    /// Percent of the last few seconds in which memory was read or written. Not how full it is.
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
    /// Memory clock in megahertz; looked at in slow ticks only.
    public var memoryClockMHz: Int?
    /// Uncorrected ECC errors since the driver was loaded.
    public var eccUncorrected: UInt64?
    /// Why clocks are lower than they could be: NVML's bits, 0x4 power cap, 0x8 hardware slowdown, 0x20 and 0x40 heat.
    public var clockEventReasons: UInt64?
    /// What the driver asks for: 0 nothing, 1 GPU reset, 2 node reboot, 3 drain and reset, and so on. R570 or newer.
    public var recoveryAction: Int?
    /// How long a kernel ran since the agent first saw the device.
    public var busy: GPUBusyTime?
    /// How long memory was read or written since the agent first saw the device.
    public var memoryBusy: GPUBusyTime?
    /// What the parts of the GPU did since the last tick (H100 and newer).
    public var activity: GPUActivity?
    /// Energy in millijoules since the agent first saw the device; goes on across restarts of the driver.
    public var energyUsedMillijoules: UInt64?
    /// How often the driver's energy counter started again.
    public var energyResets: UInt64?
    /// Temperature of the memory chips in degrees Celsius.
    public var memoryTemperatureCelsius: Int?
    /// Bytes sent over PCIe since the agent first saw the device. For telemetry: the driver's own counter may wrap.
    public var pcieTransmittedBytes: UInt64?
    /// Bytes received over PCIe since the agent first saw the device.
    public var pcieReceivedBytes: UInt64?
    /// What changes slowly and is looked at every few seconds.
    public var details: GPUDetails?
    /// Readings of this tick that cannot be true (JSON names), so that they are absent: somebody may have put a library
    /// between the agent and NVML.
    public var suspect: [String]?

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
        case busy, activity, details, suspect
        case memoryBusy = "memory_busy"
        case energyUsedMillijoules = "energy_used_millijoules"
        case energyResets = "energy_resets"
        case memoryTemperatureCelsius = "memory_temperature_celsius"
        case pcieTransmittedBytes = "pcie_transmitted_bytes"
        case pcieReceivedBytes = "pcie_received_bytes"
    }
}
