import CNVML
import Effects

/// An initialized NVML with the devices it shows. Lives on the sampling thread from nvmlInit to nvmlShutdown.
final class NVMLSession {
    /// Why NVML as a whole does not work.
    struct Problem: Error {
        let state: GPUState
        let reason: String
        /// The handles died with a driver restart: initializing again at once is likely to help.
        var isWorthRetryingNow = false
    }

    /// The versions that never change while NVML is initialized.
    let driverVersion: String?
    let nvmlVersion: String?
    let cudaDriverVersion: String?

    /// Whole GPUs, each followed by its MIG instances.
    private(set) var devices: [DeviceReader] = []
    /// The same, as snapshots carry it; replaced only when an enumeration finds something new.
    private(set) var descriptions: [GPUDevice] = []
    private(set) var hiddenDevices = 0
    private(set) var failedDevices = 0

    let library: NVMLLibrary
    private let remembered: [GPUDevice]
    let options: GPUSampler.Options
    let clock: any Clock
    private let histories: DeviceHistories
    // Filled anew in each call; one of each for all devices.
    private let fields: UnsafeMutableBufferPointer<nvmlFieldValue_t>
    private let sampleBuffer: UnsafeMutableBufferPointer<nvmlSample_t>
    private let metrics: UnsafeMutablePointer<nvmlGpmMetricsGet_t>
    var enumerateAt: UInt64 = 0
    var events: nvmlEventSet_t?
    var registered: Set<String> = []
    private var lastCount: UInt32 = 0
    private var isIncomplete = false
    private var incompletePause: UInt64 = 0
    /// Waits for events on a thread of its own, once a device is registered.
    var waiter: EventWaiter?

    /// Calls so far, and nanoseconds in them.
    var cost: (calls: UInt64, nanoseconds: UInt64) { (library.calls, library.nanoseconds) }

    /// The driver keeps samples of some twenty seconds, six a second.
    private static let sampleCapacity = 256

    /// Loads and initializes NVML. A GPU of `known` that does not answer any more stays listed as lost.
    static func open(
        _ options: GPUSampler.Options, _ clock: any Clock, _ inFlight: CallInFlight, remembering known: [GPUDevice],
        _ histories: DeviceHistories
    ) -> Result<NVMLSession, Problem> {
        let library: NVMLLibrary
        do throws(NVMLLibrary.LoadError) {
            library = try NVMLLibrary(path: options.libraryPath, clock: clock, inFlight: inFlight)
        } catch {
            return .failure(Problem(state: error.state, reason: error.reason))
        }
        if let failure = library.initialize() {
            return .failure(explain(failure, library, options))
        }
        return .success(NVMLSession(library, options, clock, known, histories))
    }

    private init(
        _ library: NVMLLibrary, _ options: GPUSampler.Options, _ clock: any Clock, _ known: [GPUDevice],
        _ histories: DeviceHistories
    ) {
        self.histories = histories
        self.library = library
        self.remembered = known
        self.options = options
        self.clock = clock
        driverVersion = try? library.driverVersion().get()
        nvmlVersion = try? library.nvmlVersion().get()
        cudaDriverVersion = (try? library.cudaVersion().get()).map { "\($0 / 1000).\($0 % 1000 / 10)" }
        fields = .allocate(capacity: DeviceReader.fastFields.count + DeviceReader.slowFields.count)
        fields.initialize(repeating: nvmlFieldValue_t())
        sampleBuffer = .allocate(capacity: Self.sampleCapacity)
        sampleBuffer.initialize(repeating: nvmlSample_t())
        // unsafe: zeroed memory of the structure's size is a valid empty one; it is 19 KB long.
        let size = MemoryLayout<nvmlGpmMetricsGet_t>.size
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        metrics = memory.bindMemory(to: nvmlGpmMetricsGet_t.self, capacity: 1)
        if options.watchesEvents { events = try? library.createEventSet().get() }
    }

    deinit {
        fields.deallocate()
        sampleBuffer.deallocate()
        metrics.deallocate()
        if let waiter, !waiter.stop(milliseconds: waiterPatience) {
            // Its thread is inside the library and may never come out: neither NVML nor the library can be let go.
            _ = Unmanaged.passRetained(library)
            return
        }
        for device in devices { device.close(library) }
        if let events { library.freeEventSet(events) }
        library.shutdown()
    }

    /// The event thread's bounded wait, and some more.
    var waiterPatience: Int { Int(options.eventWaitMilliseconds) + 500 }

    // MARK: enumeration

    /// Looks which devices there are, when it is time to.
    func enumerateIfDue(tick: UInt64) -> Problem? {
        let now = clock.boottime()
        if isQuietlyChanged(tick) { enumerateAt = 0 }
        guard now >= enumerateAt else { return nil }
        enumerateAt = now + options.enumerationIntervalMilliseconds * 1_000_000
        let count: UInt32
        switch library.count() {
        case .success(let answer):
            count = min(answer, 64)
            lastCount = answer
        case .failure(let failure): return problem(failure)
        }
        let known = devices
        var found: [DeviceReader] = []
        hiddenDevices = 0
        failedDevices = 0
        isIncomplete = false
        for index in 0..<count {
            // A lost GPU is asked rarely: its calls may hang.
            let before = known.first { $0.isWhole(at: index) }
            if let before, before.state == .lost, now < before.lookAgain.at {
                found += kept(before, known)
                continue
            }
            switch library.device(at: index).flatMap({ handle in library.uuid(handle).map { (handle, $0) } }) {
            case .success((let handle, let uuid)):
                found += describe(handle, uuid, Int(index), known)
            case .failure(.noPermission):
                hiddenDevices += 1
            case .failure(let failure):
                let memory = remembered.first { $0.parentUUID == nil && $0.index == Int(index) }
                if let silent = before ?? memory.map({ DeviceReader($0, nil, histories.of($0.uuid)) }) {
                    silent.state = failure == .gpuIsLost ? .lost : failure == .resetRequired ? .resetRequired : .error
                    silent.postpone(now, options)
                    found += kept(silent, known)
                } else {
                    failedDevices += 1
                }
            }
        }
        for gone in known where !found.contains(where: { $0 === gone }) { gone.close(library) }
        devices = found
        let descriptions = found.map(\.device)
        if descriptions != self.descriptions { self.descriptions = descriptions }
        registerEvents()
        // Again soon, and less often while it goes on.
        let longest = options.enumerationIntervalMilliseconds * 1_000_000
        incompletePause =
            isIncomplete ? min(max(incompletePause * 2, options.intervalMilliseconds * 1_000_000), longest) : 0
        if isIncomplete { enumerateAt = now + incompletePause }
        return nil
    }

    /// A GPU that does not answer, with the instances it had.
    private func kept(_ whole: DeviceReader, _ known: [DeviceReader]) -> [DeviceReader] {
        let instances = known.filter { $0.device.parentUUID == whole.device.uuid }
        for instance in instances { instance.state = whole.state }
        return [whole] + instances
    }

    /// The reader of a device: the one before, if nothing about it is new, so that its counters go on.
    private func reader(
        _ device: GPUDevice, _ handle: nvmlDevice_t, parent: nvmlDevice_t? = nil, _ known: [DeviceReader]
    ) -> DeviceReader {
        if let before = known.first(where: { $0.device == device && $0.handle == handle && $0.parent == parent }) {
            before.renew()
            return before
        }
        return DeviceReader(device, handle, parent: parent, histories.of(device.uuid))
    }

    /// Whether GPUs or instances came or went without an event: one call a tick, and in every second tick one for each
    /// slot of GPUs that are split.
    private func isQuietlyChanged(_ tick: UInt64) -> Bool {
        guard !devices.isEmpty else { return false }
        if case .success(let count) = library.count(), count != lastCount { return true }
        guard tick % 2 == 0 else { return false }
        for whole in devices where whole.device.isPartitioned && whole.state == .ok {
            guard let handle = whole.handle else { continue }
            let slots = devices.filter { $0.device.parentUUID == whole.device.uuid }.map(\.device.index)
            for slot in 0..<whole.slots {
                switch library.instance(handle, slot: slot) {
                case .success: if !slots.contains(Int(slot)) { return true }
                case .failure(.notFound): if slots.contains(Int(slot)) { return true }
                case .failure: break
                }
            }
        }
        return false
    }

    /// The GPU and its MIG instances. What is already known about them is not asked again; where a call fails that may work
    /// the next time, what was known stays.
    private func describe(
        _ handle: nvmlDevice_t, _ uuid: String, _ index: Int, _ known: [DeviceReader]
    ) -> [DeviceReader] {
        let before = known.first { $0.device.uuid == uuid }
        let partitioned: Bool
        switch library.isPartitioned(handle) {
        case .success(let answer): partitioned = answer
        case .failure(let failure): partitioned = isForGood(failure) ? false : before?.device.isPartitioned ?? false
        }
        let whole: GPUDevice
        if let device = before?.device, device.index == index, device.isPartitioned == partitioned,
            device.memoryTotalBytes != nil
        {
            whole = device
        } else {
            whole = GPUDevice(
                uuid: uuid, index: index, name: (try? library.name(handle).get()) ?? "unknown GPU",
                pciBusID: try? library.pciBusID(handle).get(), isPartitioned: partitioned,
                memoryTotalBytes: memoryTotal(handle), vbiosVersion: try? library.vbiosVersion(handle).get(),
                minorNumber: (try? library.minorNumber(handle).get()).flatMap { Self.id($0) })
        }
        let first = reader(whole, handle, known)
        guard partitioned else { return [first] }
        switch library.maximumInstances(handle) {
        case .success(let slots): first.slots = min(slots, 64)
        case .failure(let failure): first.slots = isForGood(failure) ? 0 : before?.slots ?? 0
        }
        return [first]
            + (0..<first.slots).compactMap { slot in
                let inSlot = known.first { $0.device.parentUUID == uuid && $0.device.index == Int(slot) }
                switch library.instance(handle, slot: slot).flatMap({ instance in
                    library.uuid(instance).map { (instance, $0) }
                }) {
                case .success((let instance, let uuid)):
                    let device = inSlot.flatMap { $0.device.uuid == uuid ? $0.device : nil }
                    return reader(
                        device ?? describeInstance(instance, uuid, Int(slot), whole), instance, parent: handle, known)
                case .failure(.notFound): return nil
                case .failure(let failure): return isForGood(failure) ? nil : inSlot
                }
            }
    }

    /// Whether asking again soon is in vain. If not, the next tick looks again.
    private func isForGood(_ failure: NVMLFailure) -> Bool {
        if failure.asksForFallback || failure == .noPermission { return true }
        isIncomplete = true
        return false
    }

    private func describeInstance(
        _ handle: nvmlDevice_t, _ uuid: String, _ slot: Int, _ whole: GPUDevice
    ) -> GPUDevice {
        let name = (try? library.name(handle).get()) ?? whole.name
        // The name ends in "MIG 1g.10gb"; no call returns the profile alone on a handle of an instance.
        let words = name.split(separator: " ")
        let profile = words.lastIndex(of: "MIG").flatMap { $0 + 1 < words.count ? String(words[$0 + 1]) : nil }
        return GPUDevice(
            uuid: uuid, index: slot, name: name, pciBusID: whole.pciBusID, parentUUID: whole.uuid,
            migProfile: profile, migGPUInstanceID: (try? library.gpuInstanceID(handle).get()).flatMap { Self.id($0) },
            migComputeInstanceID: (try? library.computeInstanceID(handle).get()).flatMap { Self.id($0) },
            memoryTotalBytes: memoryTotal(handle))
    }

    private func memoryTotal(_ handle: nvmlDevice_t) -> UInt64? {
        (try? library.memory(handle).get()).flatMap { $0.total > 0 && $0.total != .max ? $0.total : nil }
    }

    static func id(_ value: UInt32) -> Int? { value == NVML_VALUE_NOT_AVAILABLE_UINT ? nil : Int(value) }

    // MARK: sampling

    /// Reads every device once. A device that fails does not keep the others from being read.
    func sample(tick: UInt64) -> Result<[GPUSample], Problem> {
        var samples: [GPUSample] = []
        samples.reserveCapacity(devices.count)
        var asked = 0
        var failures = 0
        var last: NVMLFailure?
        let clock = clock
        let slowTicks = max(1, options.slowIntervalMilliseconds / max(1, options.intervalMilliseconds))
        for (index, device) in devices.enumerated() {
            if device.state == .lost {
                samples.append(GPUSample(uuid: device.device.uuid, boottime: clock.boottime(), state: .lost))
                continue
            }
            // Each device is slow in another tick, so that no tick is much longer than the others.
            let context = ReadingContext(
                library: library, fields: fields, samples: sampleBuffer, metrics: metrics,
                interval: options.intervalMilliseconds * 1_000_000, isSlow: (tick + UInt64(index)) % slowTicks == 0,
                processDirectory: options.processDirectory, now: { clock.boottime() })
            let (sample, findings) = device.read(context)
            samples.append(sample)
            asked += 1
            if findings.isStale || findings.hasChanged { enumerateAt = 0 }
            if let failure = findings.session {
                failures += 1
                last = failure
            }
            if sample.state == .lost { device.postpone(clock.boottime(), options) }
        }
        if let last, failures == asked { return .failure(problem(last)) }
        return .success(samples)
    }

    /// What is wrong with the devices as a whole, when nothing is wrong with NVML itself.
    func overall(_ samples: [GPUSample]) -> Problem? {
        if samples.isEmpty {
            if hiddenDevices > 0 {
                return Problem(
                    state: .accessRevoked,
                    reason: "the driver has \(hiddenDevices) GPU(s), none of which this container may use")
            }
            if failedDevices > 0 {
                return Problem(state: .error, reason: "\(failedDevices) GPU(s) do not answer")
            }
            return Problem(state: .noGPU, reason: "the driver shows no GPU to this container")
        }
        if samples.allSatisfy({ $0.state == .lost }) {
            return Problem(state: .error, reason: "every GPU is lost: move to another node, the GPUs need a reset")
        }
        return nil
    }

    func problem(_ failure: NVMLFailure) -> Problem {
        if failure == .uninitialized {
            return Problem(state: .error, reason: "NVML lost its session", isWorthRetryingNow: true)
        }
        return Self.explain(failure, library, options)
    }
}

extension DeviceReader {
    fileprivate func isWhole(at index: UInt32) -> Bool {
        device.parentUUID == nil && device.index == Int(index)
    }

    /// Puts off the next look at a lost GPU, twice as long each time.
    fileprivate func postpone(_ now: UInt64, _ options: GPUSampler.Options) {
        let first = options.lostRetryMilliseconds * 1_000_000
        let wait = lookAgain.after == 0 ? first : min(lookAgain.after * 2, first * 16)
        lookAgain = (now + wait, wait)
    }
}
