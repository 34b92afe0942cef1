import CNVML

/// One GPU or MIG instance as a session knows it, and how it is read.
///
/// Six calls per tick, and one more in every ``memoryClockEvery``th. A call that the device does not support or
/// refuses is not made again until the next enumeration.
struct DeviceReader {
    /// The readings that may be missing.
    struct Readings: OptionSet {
        let rawValue: UInt16
        static let memory = Readings(rawValue: 1)
        static let utilization = Readings(rawValue: 2)
        static let fields = Readings(rawValue: 4)
        static let power = Readings(rawValue: 8)
        static let energy = Readings(rawValue: 16)
        static let temperature = Readings(rawValue: 32)
        static let smClock = Readings(rawValue: 64)
        static let memoryClock = Readings(rawValue: 128)
        static let clockReasons = Readings(rawValue: 256)
    }

    static let memoryClockEvery: UInt64 = 10

    /// Read in one call: energy, average power, uncorrected ECC errors since driver load, recovery action. These
    /// identifiers mean the same in every driver that has them; others do not (199, 200, 251 to 273).
    static let fieldIDs = [
        NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, NVML_FI_DEV_POWER_AVERAGE, NVML_FI_DEV_ECC_DBE_VOL_TOTAL,
        NVML_FI_DEV_GET_GPU_RECOVERY_ACTION,
    ]

    /// What the device is.
    var device: GPUDevice
    /// NVML's handle; nil for a GPU that is only remembered. A MIG handle may silently come to mean another instance.
    let handle: nvmlDevice_t?
    /// How it was when last seen; `lost` is kept without asking.
    var state = GPUDeviceState.ok
    /// For a lost GPU, when to look again (CLOCK_BOOTTIME nanoseconds) and how long to wait after that.
    var lookAgain: (at: UInt64, after: UInt64) = (0, 0)
    private var absent: Readings = []
    private var denied: Readings = []
    private var lastMemoryClock: Int?

    init(_ device: GPUDevice, _ handle: nvmlDevice_t?) {
        self.device = device
        self.handle = handle
    }

    /// What a visit found out beyond the sample.
    struct Findings {
        /// A failure that may concern NVML as a whole.
        var session: NVMLFailure?
        /// The handle is stale, or means another instance now.
        var isStale = false
    }

    /// Reads the device once.
    mutating func read(
        _ library: NVMLLibrary, _ fields: UnsafeMutableBufferPointer<nvmlFieldValue_t>, tick: UInt64, now: () -> UInt64
    ) -> (GPUSample, Findings) {
        guard let handle else {
            return (GPUSample(uuid: device.uuid, boottime: now(), state: state), Findings())
        }
        var visit = Visit()
        var sample = GPUSample(uuid: device.uuid, boottime: 0, state: .ok)
        if device.parentUUID != nil {
            // Handles of MIG instances are reused for others: ask who it is, each time.
            switch library.uuid(handle) {
            case .success(let uuid) where uuid != device.uuid: visit.findings.isStale = true
            case .success: break
            case .failure(let failure): note(failure, [], &visit)
            }
        }
        if !visit.isOver { readMemory(library, handle, &sample, &visit) }
        // A MIG instance has no other readings, and its GPU's are not its own.
        if device.parentUUID == nil {
            readLoad(library, handle, &sample, &visit)
            readFields(library, handle, fields, &sample, &visit)
            readClocks(library, handle, tick, &sample, &visit)
        }
        if visit.state == .ok && !visit.succeeded && !denied.isEmpty { visit.state = .noPermission }
        if visit.findings.isStale { sample = GPUSample(uuid: device.uuid, boottime: 0, state: .error) }
        state = visit.findings.isStale ? .error : visit.state
        sample.state = state
        sample.boottime = now()
        return (sample, visit.findings)
    }

    private struct Visit {
        var findings = Findings()
        var state = GPUDeviceState.ok
        var succeeded = false
        /// One failure of the whole device is enough: the next call could block.
        var isOver: Bool { state != .ok || findings.isStale }
    }

    /// Makes one call, unless it is known to be in vain.
    private mutating func take<Value>(
        _ reading: Readings, _ visit: inout Visit, _ call: () -> NVMLAnswer<Value>
    ) -> Value? {
        guard !visit.isOver, !absent.contains(reading) else { return nil }
        switch call() {
        case .success(let value):
            visit.succeeded = true
            return value
        case .failure(let failure):
            note(failure, reading, &visit)
            return nil
        }
    }

    private mutating func note(_ failure: NVMLFailure, _ reading: Readings, _ visit: inout Visit) {
        switch failure {
        case .notSupported, .functionNotFound, .deprecated, .versionMismatch:
            absent.insert(reading)
        case .noPermission:
            absent.insert(reading)
            denied.insert(reading)
        case .gpuIsLost: visit.state = .lost
        case .resetRequired: visit.state = .resetRequired
        case .invalidArgument:
            visit.findings.isStale = true
            visit.state = .error
        default:
            if failure.sessionState != nil {
                visit.findings.session = failure
                visit.state = .error
            }
        }
    }

    private mutating func readMemory(
        _ library: NVMLLibrary, _ handle: nvmlDevice_t, _ sample: inout GPUSample, _ visit: inout Visit
    ) {
        guard let memory = take(.memory, &visit, { library.memory(handle) }), memory.total > 0 else { return }
        let total = memory.total
        sample.memoryUsedBytes = memory.used <= total ? memory.used : nil
        sample.memoryFreeBytes = memory.free <= total ? memory.free : nil
        sample.memoryReservedBytes = memory.reserved.flatMap { $0 <= total ? $0 : nil }
    }

    private mutating func readLoad(
        _ library: NVMLLibrary, _ handle: nvmlDevice_t, _ sample: inout GPUSample, _ visit: inout Visit
    ) {
        if let load = take(.utilization, &visit, { library.utilization(handle) }) {
            sample.utilizationGPUPercent = load.gpu <= 100 ? Int(load.gpu) : nil
            sample.utilizationMemoryPercent = load.memory <= 100 ? Int(load.memory) : nil
        }
        if let celsius = take(.temperature, &visit, { library.temperature(handle) }) {
            sample.temperatureCelsius = Limits.celsius.contains(celsius) ? celsius : nil
        }
    }

    private mutating func readFields(
        _ library: NVMLLibrary, _ handle: nvmlDevice_t, _ fields: UnsafeMutableBufferPointer<nvmlFieldValue_t>,
        _ sample: inout GPUSample,
        _ visit: inout Visit
    ) {
        for index in fields.indices {
            fields[index] = nvmlFieldValue_t()
            fields[index].fieldId = Self.fieldIDs[index]
            fields[index].nvmlReturn = NVML_ERROR_NOT_SUPPORTED
        }
        let answered: Void? = take(.fields, &visit) {
            library.fields(handle, fields).map { .failure($0) } ?? .success(())
        }
        if answered != nil {
            for field in fields where field.nvmlReturn != NVML_SUCCESS {
                let failure = NVMLFailure(field.nvmlReturn)
                if failure == .gpuIsLost || failure == .resetRequired { note(failure, [], &visit) }
            }
            sample.energyMillijoules = fields[0].number
            sample.powerMilliwatts = fields[1].number
            sample.eccUncorrected = fields[2].number
            sample.recoveryAction = fields[3].number.flatMap { $0 <= UInt64(UInt16.max) ? Int($0) : nil }
        }
        if sample.powerMilliwatts == nil {
            sample.powerMilliwatts = take(.power, &visit) { library.power(handle) }.map { UInt64($0) }
        }
        if sample.energyMillijoules == nil {
            sample.energyMillijoules = take(.energy, &visit) { library.energy(handle) }
        }
        if let power = sample.powerMilliwatts, power > Limits.milliwatts { sample.powerMilliwatts = nil }
        if sample.energyMillijoules == .max { sample.energyMillijoules = nil }
        if sample.eccUncorrected == .max { sample.eccUncorrected = nil }
    }

    private mutating func readClocks(
        _ library: NVMLLibrary, _ handle: nvmlDevice_t, _ tick: UInt64, _ sample: inout GPUSample, _ visit: inout Visit
    ) {
        if let megahertz = take(.smClock, &visit, { library.clock(handle, NVML_CLOCK_SM) }) {
            sample.smClockMHz = megahertz <= Limits.megahertz ? Int(megahertz) : nil
        }
        // Each device in another tick, so that no tick is much longer than the others.
        if lastMemoryClock == nil || (tick + UInt64(device.index)) % Self.memoryClockEvery == 0 {
            lastMemoryClock = take(.memoryClock, &visit) { library.clock(handle, NVML_CLOCK_MEM) }
                .flatMap { $0 <= Limits.megahertz ? Int($0) : nil }
        }
        sample.clockEventReasons = take(.clockReasons, &visit) { library.clockEventReasons(handle) }
        if !visit.isOver { sample.memoryClockMHz = lastMemoryClock }
    }
}

/// Beyond these a reading is nonsense and counts as absent. No GPU of 2026 comes near.
private enum Limits {
    static let milliwatts: UInt64 = 20_000_000
    static let megahertz: UInt32 = 20_000
    static let celsius = -60...250
}

extension nvmlFieldValue_t {
    /// The value as a whole number that is not negative, by the type the driver says it has; nil when it is none.
    var number: UInt64? {
        guard nvmlReturn == NVML_SUCCESS else { return nil }
        switch valueType {
        case NVML_VALUE_TYPE_DOUBLE: return value.dVal.isFinite ? UInt64(exactly: value.dVal.rounded()) : nil
        case NVML_VALUE_TYPE_UNSIGNED_INT: return UInt64(value.uiVal)
        case NVML_VALUE_TYPE_UNSIGNED_LONG: return UInt64(value.ulVal)
        case NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: return value.ullVal
        case NVML_VALUE_TYPE_SIGNED_LONG_LONG: return UInt64(exactly: value.sllVal)
        case NVML_VALUE_TYPE_SIGNED_INT: return UInt64(exactly: value.siVal)
        case NVML_VALUE_TYPE_UNSIGNED_SHORT: return UInt64(value.usVal)
        default: return nil
        }
    }
}
