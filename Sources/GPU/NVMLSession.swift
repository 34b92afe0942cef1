import CNVML
import Effects
import Glibc
import LinuxKit

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

    private let library: NVMLLibrary
    private let remembered: [GPUDevice]
    private let options: GPUSampler.Options
    private let clock: any Clock
    private let fields: UnsafeMutableBufferPointer<nvmlFieldValue_t>
    private var enumerateAt: UInt64 = 0
    private var events: nvmlEventSet_t?
    private var registered: Set<String> = []

    /// Loads and initializes NVML. A GPU of `known` that does not answer any more stays listed as lost.
    static func open(
        _ options: GPUSampler.Options, _ clock: any Clock, _ inFlight: CallInFlight, remembering known: [GPUDevice]
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
        return .success(NVMLSession(library, options, clock, known))
    }

    private init(
        _ library: NVMLLibrary, _ options: GPUSampler.Options, _ clock: any Clock, _ known: [GPUDevice]
    ) {
        self.library = library
        self.remembered = known
        self.options = options
        self.clock = clock
        driverVersion = try? library.driverVersion().get()
        nvmlVersion = try? library.nvmlVersion().get()
        cudaDriverVersion = (try? library.cudaVersion().get()).map { "\($0 / 1000).\($0 % 1000 / 10)" }
        fields = .allocate(capacity: DeviceReader.fieldIDs.count)
        fields.initialize(repeating: nvmlFieldValue_t())
        events = try? library.createEventSet().get()
    }

    deinit {
        if let events { library.freeEventSet(events) }
        library.shutdown()
        fields.deallocate()
    }

    /// What a failed nvmlInit means, and what helps.
    private static func explain(
        _ failure: NVMLFailure, _ library: NVMLLibrary, _ options: GPUSampler.Options
    ) -> Problem {
        let version = (try? library.nvmlVersion().get()).map { " (library \($0))" } ?? ""
        let control = options.deviceDirectory + "/nvidiactl"
        switch failure.sessionState {
        case .noDriver:
            return Problem(state: .noDriver, reason: "the NVIDIA kernel driver is not loaded\(version)")
        case .driverMismatch:
            return Problem(
                state: .driverMismatch,
                reason:
                    "the NVIDIA library\(version) and the kernel driver differ: this container must be created again")
        case .accessRevoked:
            return Problem(state: .accessRevoked, reason: revoked(control))
        case .noLibrary:
            return Problem(state: .noLibrary, reason: "NVML found no driver library of its own: \(failure)")
        default: break
        }
        // After a daemon-reload on the host, systemd puts its own device rules back and NVML says only "unknown error".
        // The device file tells.
        if failure.code == NVML_ERROR_UNKNOWN || failure == .noPermission, isForbidden(control) {
            return Problem(state: .accessRevoked, reason: revoked(control))
        }
        return Problem(state: .error, reason: "NVML does not work: \(failure)\(version)")
    }

    private static func revoked(_ control: String) -> String {
        "this container may no longer open \(control) (device cgroup): it must be created again"
    }

    private static func isForbidden(_ path: String) -> Bool {
        do throws(LinuxError) {
            _ = try Descriptor(opening: path, O_RDWR)
            return false
        } catch {
            return error.code == EPERM || error.code == EACCES
        }
    }

    // MARK: enumeration

    /// Looks which devices there are, when it is time to.
    func enumerateIfDue() -> Problem? {
        let now = clock.boottime()
        guard now >= enumerateAt else { return nil }
        enumerateAt = now + options.enumerationIntervalMilliseconds * 1_000_000
        let count: UInt32
        switch library.count() {
        case .success(let answer): count = min(answer, 64)
        case .failure(let failure): return problem(failure)
        }
        let known = devices
        var found: [DeviceReader] = []
        hiddenDevices = 0
        failedDevices = 0
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
                if var silent = before ?? memory.map({ DeviceReader($0, nil) }) {
                    silent.state = failure == .gpuIsLost ? .lost : failure == .resetRequired ? .resetRequired : .error
                    silent.postpone(now, options)
                    found += kept(silent, known)
                } else {
                    failedDevices += 1
                }
            }
        }
        devices = found
        let descriptions = found.map(\.device)
        if descriptions != self.descriptions { self.descriptions = descriptions }
        registerEvents()
        return nil
    }

    /// A GPU that does not answer, with the instances it had.
    private func kept(_ whole: DeviceReader, _ known: [DeviceReader]) -> [DeviceReader] {
        let instances = known.filter { $0.device.parentUUID == whole.device.uuid }
        return [whole]
            + instances.map {
                var instance = $0
                instance.state = whole.state
                return instance
            }
    }

    /// The GPU and its MIG instances. What is already known about them is not asked again.
    private func describe(
        _ handle: nvmlDevice_t, _ uuid: String, _ index: Int, _ known: [DeviceReader]
    ) -> [DeviceReader] {
        let partitioned = (try? library.isPartitioned(handle).get()) ?? false
        let before = known.first { $0.device.uuid == uuid }?.device
        let whole: GPUDevice
        if let before, before.index == index, before.isPartitioned == partitioned, before.memoryTotalBytes != nil {
            whole = before
        } else {
            whole = GPUDevice(
                uuid: uuid, index: index, name: (try? library.name(handle).get()) ?? "unknown GPU",
                pciBusID: try? library.pciBusID(handle).get(), isPartitioned: partitioned,
                memoryTotalBytes: memoryTotal(handle))
        }
        var readers = [DeviceReader(whole, handle)]
        guard partitioned, let slots = try? library.maximumInstances(handle).get() else { return readers }
        for slot in 0..<min(slots, 64) {
            guard let instance = try? library.instance(handle, slot: slot).get(),
                let instanceUUID = try? library.uuid(instance).get()
            else { continue }
            let before = known.first { $0.device.uuid == instanceUUID }?.device
            if let before, before.index == Int(slot), before.parentUUID == uuid {
                readers.append(DeviceReader(before, instance))
            } else {
                readers.append(DeviceReader(describeInstance(instance, instanceUUID, Int(slot), whole), instance))
            }
        }
        return readers
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

    private static func id(_ value: UInt32) -> Int? { value == NVML_VALUE_NOT_AVAILABLE_UINT ? nil : Int(value) }

    // MARK: sampling

    /// Reads every device once. A device that fails does not keep the others from being read.
    func sample(tick: UInt64) -> Result<[GPUSample], Problem> {
        var samples: [GPUSample] = []
        samples.reserveCapacity(devices.count)
        var asked = 0
        var failures = 0
        var last: NVMLFailure?
        let clock = clock
        for index in devices.indices {
            if devices[index].state == .lost {
                samples.append(GPUSample(uuid: devices[index].device.uuid, boottime: clock.boottime(), state: .lost))
                continue
            }
            let (sample, findings) = devices[index].read(library, fields, tick: tick, now: { clock.boottime() })
            samples.append(sample)
            asked += 1
            if findings.isStale { enumerateAt = 0 }
            if let failure = findings.session {
                failures += 1
                last = failure
            }
            if sample.state == .lost { devices[index].postpone(clock.boottime(), options) }
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

    private func problem(_ failure: NVMLFailure) -> Problem {
        if failure == .uninitialized {
            return Problem(state: .error, reason: "NVML lost its session", isWorthRetryingNow: true)
        }
        return Self.explain(failure, library, options)
    }

    // MARK: events

    private static let wantedEvents = nvmlEventTypeXidCriticalError | nvmlEventMigConfigChange

    private func registerEvents() {
        guard let events else { return }
        // Events arrive on the whole GPU only; MIG instances cannot be registered.
        for reader in devices where reader.device.parentUUID == nil && reader.state != .lost {
            guard !registered.contains(reader.device.uuid), let handle = reader.handle,
                let supported = try? library.supportedEvents(handle).get(),
                supported & Self.wantedEvents != 0
            else { continue }
            let failure = library.register(handle, supported & Self.wantedEvents, events)
            if failure?.code == NVML_ERROR_UNKNOWN {
                // The set is undefined after this (nvml.h): do without events.
                library.freeEventSet(events)
                self.events = nil
                return
            }
            if failure == nil { registered.insert(reader.device.uuid) }
        }
    }

    /// The XIDs since the last time, at most 64. Never waits.
    func takeXIDs() -> [nvmlEventData_t] {
        guard let events, !registered.isEmpty else { return [] }
        var taken: [nvmlEventData_t] = []
        for _ in 0..<64 {
            guard case .success(let event) = library.nextEvent(events) else { break }
            if event.eventType == nvmlEventMigConfigChange { enumerateAt = 0 }
            if event.eventType == nvmlEventTypeXidCriticalError { taken.append(event) }
        }
        return taken
    }

    /// Puts an event into the words of a snapshot.
    func describe(_ event: nvmlEventData_t, serial: UInt64) -> GPUEvent {
        GPUEvent(
            serial: serial, uuid: devices.first { $0.handle == event.device }?.device.uuid, xid: event.eventData,
            boottime: clock.boottime(), gpuInstanceID: Self.id(event.gpuInstanceId),
            computeInstanceID: Self.id(event.computeInstanceId))
    }
}

extension DeviceReader {
    fileprivate func isWhole(at index: UInt32) -> Bool {
        device.parentUUID == nil && device.index == Int(index)
    }

    /// Puts off the next look at a lost GPU, twice as long each time.
    fileprivate mutating func postpone(_ now: UInt64, _ options: GPUSampler.Options) {
        let first = options.lostRetryMilliseconds * 1_000_000
        let wait = lookAgain.after == 0 ? first : min(lookAgain.after * 2, first * 16)
        lookAgain = (now + wait, wait)
    }
}
