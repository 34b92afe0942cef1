import CNVML

/// One GPU or MIG instance as a session knows it, and how it is read.
///
/// Six calls a tick at most: memory, load, one batch of fields, two for profiling, and by turns what need not be looked at
/// every second. A call that the device does not support or refuses is not made again until the next enumeration.
final class DeviceReader {
    /// The readings that may be missing.
    struct Readings: OptionSet {
        let rawValue: UInt32
        static let memory = Readings(rawValue: 1)
        static let utilization = Readings(rawValue: 2)
        static let fields = Readings(rawValue: 4)
        static let power = Readings(rawValue: 8)
        static let energy = Readings(rawValue: 16)
        static let temperature = Readings(rawValue: 32)
        static let smClock = Readings(rawValue: 64)
        static let memoryClock = Readings(rawValue: 128)
        static let clockReasons = Readings(rawValue: 256)
        static let samples = Readings(rawValue: 512)
        static let memorySamples = Readings(rawValue: 1024)
        static let profiling = Readings(rawValue: 2048)
        static let encoder = Readings(rawValue: 4096)
        static let decoder = Readings(rawValue: 8192)
        static let powerLimit = Readings(rawValue: 16384)
        static let pcieGeneration = Readings(rawValue: 1 << 15)
        static let pcieWidth = Readings(rawValue: 1 << 16)
        static let fabric = Readings(rawValue: 1 << 17)
        static let licence = Readings(rawValue: 1 << 18)
        static let compute = Readings(rawValue: 1 << 19)
        static let graphics = Readings(rawValue: 1 << 20)
        static let mps = Readings(rawValue: 1 << 21)
    }

    /// The most NVML calls for one device in a tick that is not a slow one.
    static let callBudget: UInt64 = 6

    /// What the device is.
    let device: GPUDevice
    /// NVML's handle; nil for a GPU that is only remembered. A MIG handle may silently come to mean another instance.
    let handle: nvmlDevice_t?
    /// For a MIG instance, the handle of its GPU.
    let parent: nvmlDevice_t?
    /// How it was when last seen; `lost` is kept without asking.
    var state = GPUDeviceState.ok
    /// For a lost GPU, when to look again (CLOCK_BOOTTIME nanoseconds) and how long to wait after that.
    var lookAgain: (at: UInt64, after: UInt64) = (0, 0)
    let history: DeviceHistory
    /// For a GPU that is split, how many instances it may have.
    var slots: UInt32 = 0

    var absent: Readings = []
    private var denied: Readings = []
    private var answered: Readings = []
    private var turn = 0
    var isFirst = true
    private var profiler: Profiler?
    var isVGPU: Bool?
    // What was read by turns, or in the last slow tick.
    private var smClock: Int?
    private var temperature: Int?
    private var clockReasons: UInt64?
    var memoryClock: Int?
    var details: GPUDetails?
    var attribution = ProcessAttribution()

    init(_ device: GPUDevice, _ handle: nvmlDevice_t?, parent: nvmlDevice_t? = nil, _ history: DeviceHistory) {
        self.device = device
        self.handle = handle
        self.parent = parent
        self.history = history
    }

    /// A new enumeration found the device again: what it refused is asked for once more.
    func renew() {
        state = .ok
        lookAgain = (0, 0)
        absent = []
        denied = []
        isVGPU = nil
    }

    /// Gives back what NVML allocated for this device.
    func close(_ library: NVMLLibrary) {
        profiler?.close(library)
        profiler = nil
    }

    /// What a visit found out beyond the sample.
    struct Findings {
        /// A failure that may concern NVML as a whole.
        var session: NVMLFailure?
        /// The handle is stale, or means another instance now.
        var isStale = false
        /// What was supported is not any more, or the other way round: the GPU may have been split.
        var hasChanged = false
    }

    /// One look at the device, while it lasts.
    final class Visit {
        let context: ReadingContext
        let start: UInt64
        var findings = Findings()
        var state = GPUDeviceState.ok
        var succeeded = false
        /// The last failure that concerned one reading only.
        var failure: NVMLFailure?
        var suspect: [String] = []

        init(context: ReadingContext) {
            self.context = context
            start = context.library.calls
        }

        /// One failure of the whole device is enough: the next call could block.
        var isOver: Bool { state != .ok || findings.isStale }
        var library: NVMLLibrary { context.library }
        var callsLeft: UInt64 {
            let made = context.library.calls - start
            return made < DeviceReader.callBudget ? DeviceReader.callBudget - made : 0
        }
    }

    /// Reads the device once.
    func read(_ context: ReadingContext) -> (GPUSample, Findings) {
        guard let handle else {
            return (GPUSample(uuid: device.uuid, boottime: context.now(), state: state), Findings())
        }
        let visit = Visit(context: context)
        var sample = GPUSample(uuid: device.uuid, boottime: 0, state: .ok)
        if device.parentUUID != nil {
            // Handles of MIG instances are reused for others: ask who it is, each time.
            switch context.library.uuid(handle) {
            case .success(let uuid) where uuid != device.uuid: visit.findings.isStale = true
            case .success: break
            case .failure(let failure): note(failure, [], visit)
            }
        }
        readMemory(handle, &sample, visit)
        if device.parentUUID == nil {
            readBusy(handle, &sample, visit)
            readFields(handle, &sample, visit)
        }
        readProfiling(handle, &sample, visit)
        // A MIG instance has no other readings, and its GPU's are not its own.
        if device.parentUUID == nil { readByTurns(handle, &sample, visit) }
        if context.isSlow || isFirst { readDetails(handle, sample, visit) }
        if visit.state == .ok && !visit.succeeded {
            if let failure = visit.failure {
                visit.state = .error
                if failure.sessionState != nil { visit.findings.session = failure }
            } else if !denied.isEmpty {
                visit.state = .noPermission
            }
        }
        if visit.findings.isStale { sample = GPUSample(uuid: device.uuid, boottime: 0, state: .error) }
        state = visit.findings.isStale ? .error : visit.state
        if state == .ok { complete(&sample) }
        sample.suspect = visit.suspect.isEmpty ? nil : visit.suspect
        sample.state = state
        sample.boottime = context.now()
        isFirst = false
        return (sample, visit.findings)
    }

    /// Makes one call, unless it is known to be in vain.
    func take<Value>(_ reading: Readings, _ visit: Visit, _ call: () -> NVMLAnswer<Value>) -> Value? {
        guard !visit.isOver, !absent.contains(reading) else { return nil }
        switch call() {
        case .success(let value):
            visit.succeeded = true
            answered.insert(reading)
            return value
        case .failure(let failure):
            note(failure, reading, visit)
            return nil
        }
    }

    func note(_ failure: NVMLFailure, _ reading: Readings, _ visit: Visit) {
        switch failure {
        case .notSupported, .functionNotFound, .deprecated, .versionMismatch:
            // Once: a value that is gone for good is no reason to look every time.
            if !reading.isEmpty, answered.remove(reading) != nil { visit.findings.hasChanged = true }
            absent.insert(reading)
        case .noPermission:
            absent.insert(reading)
            denied.insert(reading)
        case .gpuIsLost: visit.state = .lost
        case .resetRequired: visit.state = .resetRequired
        case .invalidArgument:
            // The handle, or only the argument? A handle that still names this device is not stale.
            if !reading.isEmpty, let handle, case .success(device.uuid) = visit.library.uuid(handle) {
                absent.insert(reading)
            } else {
                visit.findings.isStale = true
                visit.state = .error
            }
        default:
            if failure.code != NVML_ERROR_UNKNOWN, failure.sessionState != nil {
                visit.findings.session = failure
                visit.state = .error
            } else {
                // One value that cannot be had now says nothing about the others.
                visit.failure = failure
            }
        }
    }

    private func readMemory(_ handle: nvmlDevice_t, _ sample: inout GPUSample, _ visit: Visit) {
        guard let memory = take(.memory, visit, { visit.library.memory(handle) }) else { return }
        let total = memory.total
        guard total > 0, total != .max, memory.used <= total, memory.free <= total, (memory.reserved ?? 0) <= total
        else {
            visit.suspect.append("memory_used_bytes")
            return
        }
        sample.memoryUsedBytes = memory.used
        sample.memoryFreeBytes = memory.free
        sample.memoryReservedBytes = memory.reserved
    }

    /// Utilization from the driver's samples; where it has none, from its last sample period.
    private func readBusy(_ handle: nvmlDevice_t, _ sample: inout GPUSample, _ visit: Visit) {
        guard !device.isPartitioned else { return }
        let context = visit.context
        if !absent.contains(.samples) {
            readSamples(handle, NVML_GPU_UTILIZATION_SAMPLES, .samples, \.busy, "utilization_gpu_percent", visit)
            guard absent.contains(.samples) else { return }
        }
        let load = take(.utilization, visit) { visit.library.utilization(handle) }
        guard !absent.contains(.utilization) else { return }
        if let load, load.gpu > 100 || load.memory > 100 { visit.suspect.append("utilization_gpu_percent") }
        history.busy.take(
            percent: load.map { Double($0.gpu) }, method: .rates, boottime: context.now(), interval: context.interval)
        history.memoryBusy.take(
            percent: load.map { Double($0.memory) }, method: .rates, boottime: context.now(), interval: context.interval
        )
    }

    private func readSamples(
        _ handle: nvmlDevice_t, _ type: Int32, _ reading: Readings,
        _ integrator: ReferenceWritableKeyPath<DeviceHistory, BusyIntegrator>, _ name: String, _ visit: Visit
    ) {
        let buffer = visit.context.samples
        let lastSeen = history[keyPath: integrator].lastSeen
        let answer = take(reading, visit) { () -> NVMLAnswer<(count: Int, type: Int32)> in
            let answer = visit.library.samples(handle, type, since: lastSeen, buffer)
            // Nothing new since the last look.
            if case .failure(let failure) = answer, failure == .notFound || failure.code == NVML_ERROR_NO_DATA {
                return .success((0, NVML_VALUE_TYPE_UNSIGNED_INT))
            }
            return answer
        }
        guard let answer else { return }
        let samples = buffer.prefix(answer.count).lazy.map { sample in
            BusyIntegrator.Sample(at: sample.timeStamp, percent: sample.sampleValue.number(answer.type) ?? 101)
        }
        if !history[keyPath: integrator].take(samples, boottime: visit.context.now()) { visit.suspect.append(name) }
    }

    private func readProfiling(_ handle: nvmlDevice_t, _ sample: inout GPUSample, _ visit: Visit) {
        guard !absent.contains(.profiling), !visit.isOver else { return }
        if profiler == nil {
            let instance = device.parentUUID == nil ? nil : device.migGPUInstanceID
            profiler = take(.profiling, visit) {
                Profiler.open(visit.library, handle, parent: parent, instance: instance)
            }
        }
        guard let profiler else { return }
        let context = visit.context
        let answer = take(.profiling, visit) {
            profiler.look(visit.library, context.metrics, at: context.now())
        }
        guard let answer else {
            if device.parentUUID != nil { addProfiled(nil, context) }
            return
        }
        sample.activity = answer.activity
        if answer.isSuspect { visit.suspect.append("activity") }
        if device.parentUUID != nil { addProfiled(answer.activity?.graphicsPercent, context) }
    }

    /// For a MIG instance the profiling counters are the only sign of work.
    private func addProfiled(_ percent: Double?, _ context: ReadingContext) {
        history.busy.take(percent: percent, method: .profiling, boottime: context.now(), interval: context.interval)
    }

    /// What need not be looked at every second, in turn, as far as the budget goes; everything at first and where ticks
    /// are rare.
    private func readByTurns(_ handle: nvmlDevice_t, _ sample: inout GPUSample, _ visit: Visit) {
        let all = 4
        let isRare = visit.context.interval > 2_000_000_000
        for _ in 0..<all {
            guard isFirst || isRare || visit.context.isSlow || visit.callsLeft > 0 else { return }
            turn = (turn + 1) % all
            switch turn {
            case 0:
                if let megahertz = take(.smClock, visit, { visit.library.clock(handle, NVML_CLOCK_SM) }) {
                    smClock = plausible(megahertz, Limits.megahertz, "sm_clock_mhz", visit)
                }
            case 1:
                if let celsius = take(.temperature, visit, { visit.library.temperature(handle) }) {
                    temperature = Limits.celsius.contains(celsius) ? celsius : nil
                    if temperature == nil { visit.suspect.append("temperature_celsius") }
                }
            case 2:
                clockReasons = take(.clockReasons, visit) { visit.library.clockEventReasons(handle) }
            default:
                // With `rates` they came along with the others.
                guard !device.isPartitioned, !absent.contains(.samples) else { continue }
                readSamples(
                    handle, NVML_MEMORY_UTILIZATION_SAMPLES, .memorySamples, \.memoryBusy, "utilization_memory_percent",
                    visit)
            }
        }
    }

    func plausible(_ value: UInt32, _ most: UInt32, _ name: String, _ visit: Visit) -> Int? {
        if value <= most { return Int(value) }
        visit.suspect.append(name)
        return nil
    }

    /// Puts what was read before into the sample of a device that answers.
    private func complete(_ sample: inout GPUSample) {
        sample.smClockMHz = smClock
        sample.temperatureCelsius = temperature
        sample.clockEventReasons = clockReasons
        sample.memoryClockMHz = memoryClock
        sample.details = details
        sample.busy = history.busy.time
        sample.memoryBusy = history.memoryBusy.time
        guard device.parentUUID == nil, !device.isPartitioned else { return }
        sample.utilizationGPUPercent = history.busy.percent.map { Int($0.rounded()) }
        sample.utilizationMemoryPercent = history.memoryBusy.percent.map { Int($0.rounded()) }
    }
}
