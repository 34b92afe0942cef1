import Effects
import Metering
import UsageRecord

/// What is deliberately broken, to see that the simulation notices.
enum PlantedBug: String, CaseIterable, Sendable {
    case noDirectorySync, noFileSync, ignoredSyncError, unlinkBeforeCursor, trustBare200, reusedEpoch
}

/// What a run came to.
struct Report: Equatable {
    var violations: [String] = []
    var fired: [String: Int] = [:]
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    var events = 0
    var simulatedMilliseconds: UInt64 = 0
    var records = 0
}

/// One pod, its disk, its network and its control plane in one thread with one seed.
struct World {
    static let pod = "4c1f7c4e-0000-4000-8000-000000000001"

    struct Device {
        var uuid: String
        var isOK = true
        var isPresent = true
        var energyStart: UInt64 = 0
    }

    var random: SplitMix
    let seed: UInt64
    let bug: PlantedBug?
    let disk: SimulatedDisk
    let agentRandom: SeededRandom
    var controlPlane: SimulatedControlPlane
    var report = Report()
    var truth = Truth()

    var recorder: Recorder<SimulatedDisk>?
    var machine: DeliveryMachine<SeededRandom>
    var answer: (at: UInt64, event: DeliveryEvent)?
    var timer: UInt64?
    var time: UInt64 = 1000
    var bootStart: UInt64 = 0
    var boot = 1
    var wallOffset: Int64 = 1_767_225_600_000
    var devices: [Device]
    var resumeAt: UInt64 = 0
    var powerCut = false
    let rots: Bool
    let limits: SpoolLimits
    var configuration = MeterConfiguration()

    init(seed: UInt64, bug: PlantedBug? = nil) {
        self.seed = seed
        self.bug = bug
        random = SplitMix(seed: seed)
        var lies = SimulatedDisk.Lies()
        lies.syncsDirectory = bug != .noDirectorySync
        lies.syncsFiles = bug != .noFileSync
        lies.reportsSyncErrors = bug != .ignoredSyncError
        disk = SimulatedDisk(seed: seed ^ 0xd15c, lies: lies)
        agentRandom = SeededRandom(seed: seed ^ 0xa9e7)
        controlPlane = SimulatedControlPlane(seed: seed ^ 0xc0117801, pod: Self.pod)
        controlPlane.trustsBare200 = bug == .trustBare200
        machine = DeliveryMachine(random: agentRandom)
        rots = bug == nil && seed % 8 == 7
        var limits = SpoolLimits()
        limits.segmentBytes = 3000 + random.below(3) * 3000
        limits.totalBytes = random.chance(300) ? 14_000 : 1 << 20
        limits.quarantineBytes = 20_000
        self.limits = limits
        configuration.intervalMilliseconds = 5000
        configuration.checkpointMilliseconds = 2000
        devices = (0...random.below(3)).map { Device(uuid: "GPU-\($0)") }
        wallOffset += Int64(random.below(3_600_000))
    }

    var bootID: String { "boot-\(boot)" }
    var boottime: UInt64 { time - bootStart }
    var realtime: Int64 { Int64(time) + wallOffset }

    // MARK: The run

    mutating func run() -> Report {
        let ticks = 50 + random.below(60)
        for _ in 0..<ticks {
            shake()
            second()
        }
        calm()
        for _ in 0..<8 { second() }
        if recorder == nil { report.violations.append("the agent does not start again") }
        finish()
        judge()
        report.simulatedMilliseconds = time
        report.records = controlPlane.oracle.kept.count
        for (fault, count) in disk.fired { report.fired["disk " + fault.rawValue, default: 0] += count }
        for (fault, count) in controlPlane.fired { report.fired["network " + fault.rawValue, default: 0] += count }
        return report
    }

    /// Everything is closed and delivered; a full spool takes the rest once there is room.
    private mutating func finish() {
        var failure: SpoolError?
        for _ in 0..<20 {
            failure = recorder?.close().failure
            noteDurable()
            deliver(.recordsAvailable)
            drain()
            if failure == nil { return }
        }
        if let failure { report.violations.append("the last close failed: \(failure)") }
    }

    private mutating func fire(_ name: String) { report.fired["world " + name, default: 0] += 1 }

    /// Something goes wrong, or right again.
    private mutating func shake() {
        if random.chance(60) { disk.set(errorsPerMille: random.chance(500) ? 80 : 0) }
        if random.chance(30) { disk.set(free: random.chance(400) ? random.below(3000) : nil) }
        if random.chance(60) { controlPlane.faultsPerMille = [0, 200, 1000][random.below(3)] }
        if random.chance(40) { disk.kill(after: random.below(25)) }
        if random.chance(15), recorder != nil {
            fire("kill between operations")
            crash()
        }
        if random.chance(20) {
            fire("wall step")
            wallOffset += Int64(random.below(20_000_000)) - 10_000_000
        }
        let index = random.below(devices.count)
        if random.chance(40) {
            devices[index].isOK.toggle()
            if !devices[index].isOK { fire("device lost") }
        }
        if random.chance(20) {
            devices[index].isPresent.toggle()
            if !devices[index].isPresent { fire("device vanished") }
        }
        if random.chance(20) {
            fire("energy reset")
            devices[index].energyStart = time
        }
        if random.chance(30) {
            fire("stall")
            time += UInt64(1600 + random.below(60_000))
        }
    }

    private mutating func calm() {
        disk.set(errorsPerMille: 0)
        disk.set(free: nil)
        disk.kill(after: .max)
        controlPlane.faultsPerMille = 0
        for index in devices.indices {
            devices[index].isOK = true
            devices[index].isPresent = true
        }
        time = max(time, resumeAt)
    }

    private mutating func second() {
        let target = time + 1000
        pump(until: target)
        time = target
        if recorder == nil, time >= resumeAt { start() }
        guard recorder != nil else { return }
        let late = truth.lastTick.map { time - $0 > 2500 } ?? false
        let tick = MeterTick(
            boottime: boottime * 1_000_000 + 250_000, realtimeMilliseconds: realtime,
            suspended: late && random.chance(500) ? 3_000_000_000 : 0,
            devices: devices.filter(\.isPresent).map {
                DeviceReading(
                    uuid: $0.uuid, state: $0.isOK ? .ok : .lost, utilizationPercent: 100,
                    energyMillijoules: (time - $0.energyStart) * 100, memoryUsedBytes: 1000)
            })
        truth.tick(time, bootStart, bootID, devices)
        if let outcome = recorder?.tick(tick) {
            log(UInt64(outcome.appended))
            if died() { return }
            if outcome.failure != nil { truth.isDisturbed = true }
            noteDurable()
            if outcome.appended > 0 { deliver(.recordsAvailable) }
        }
    }

    // MARK: The agent's life

    private mutating func start() {
        if rots, random.chance(300) { disk.rot() }
        let source = bug == .reusedEpoch ? SeededRandom(seed: 1) : agentRandom
        do {
            recorder = try Recorder(
                directory: disk, podUID: Self.pod, bootID: bootID, random: source, configuration: configuration,
                limits: limits, maximumPending: 6)
        } catch {
            log(99)
            if !died() { fire("failed start") }
            return
        }
        if died() { return }
        if let recorder, let open = recorder.state.open, !rots, let reach = truth.reach[open.bootID],
            open.endMilliseconds < reach
        {
            report.violations.append("a durable checkpoint was lost: \(open.endMilliseconds) < \(reach)")
        }
        if !rots, truth.isCheckpointed, recorder?.state.open == nil {
            report.violations.append("all durable checkpoints were lost")
        }
        machine = DeliveryMachine(random: agentRandom)
        answer = nil
        timer = nil
        truth.lastTick = nil
        deliver(.recordsAvailable)
    }

    private mutating func died() -> Bool {
        guard disk.isDead else { return false }
        crash()
        return true
    }

    private mutating func crash() {
        log(1)
        recorder = nil
        answer = nil
        timer = nil
        truth.crashed()
        let reboots = random.chance(200)
        if reboots { fire("reboot") }
        let isCut = reboots || random.chance(500)
        disk.restart(powerCut: isCut)
        resumeAt = time + UInt64(random.below(15_000))
        if reboots {
            boot += 1
            bootStart = time
            resumeAt += 500
        }
    }

    private mutating func noteDurable() {
        guard let recorder, recorder.isSettled else { return }
        truth.durable(recorder.state)
    }

    // MARK: Delivery

    private mutating func pump(until end: UInt64) {
        while true {
            let next = min(answer?.at ?? .max, timer ?? .max)
            guard next <= end, recorder != nil else { return }
            time = max(time, next)
            if let due = answer, due.at == next {
                answer = nil
                deliver(due.event)
            } else {
                timer = nil
                deliver(.timer)
            }
        }
    }

    private mutating func deliver(_ event: DeliveryEvent) {
        guard recorder != nil else { return }
        report.events += 1
        var actions = machine.handle(event, now: boottime, realtime: realtime)
        var failed = false
        while !actions.isEmpty {
            let action = actions.removeFirst()
            do {
                switch action {
                case .load(let events, let bytes):
                    log(2)
                    var loaded = DeliveryEvent.loadFailed
                    if !failed {
                        loaded = .loaded(try recorder?.load(maximumEvents: events, maximumBytes: bytes) ?? [])
                    }
                    failed = false
                    actions += machine.handle(loaded, now: boottime, realtime: realtime)
                case .send(let body, _):
                    log(UInt64(body.count))
                    let reply = controlPlane.receive(body, now: time, realtime: realtime)
                    answer = (time + 1 + reply.after, reply.event)
                case .deleteThrough(let epoch, let seq):
                    log(seq)
                    if bug == .unlinkBeforeCursor { unlinkEarly(epoch, seq) }
                    try recorder?.deleteThrough(epoch, seq)
                case .keepRejected(let rejections): recorder?.keepRejected(rejections)
                case .quarantine(let epoch, let seq, let reason):
                    log(3)
                    try recorder?.quarantine(epoch, seq, reason: reason)
                case .refreshToken: log(4)
                case .wait(let milliseconds): timer = time + milliseconds
                case .done: log(5)
                }
            } catch {
                if case .load = action {
                    actions += machine.handle(.loadFailed, now: boottime, realtime: realtime)
                } else {
                    failed = true
                }
            }
            if died() { return }
        }
        noteDurable()
    }

    private func unlinkEarly(_ epoch: String, _ seq: UInt64) {
        guard let names = try? disk.list().filter({ $0.hasSuffix(".segment") }).sorted(), names.count > 1 else {
            return
        }
        try? disk.remove(names[0])
        try? disk.syncDirectory()
    }

    private mutating func drain() {
        let limit = time + 6 * 3_600_000
        while let recorder, recorder.waiting > 0, time < limit {
            let next = min(answer?.at ?? .max, timer ?? .max)
            guard next < .max else { break }
            pump(until: next)
        }
        if let recorder, recorder.waiting > 0 {
            report.violations.append("\(recorder.waiting) records are stuck: \(machine.lastFailure ?? "idle")")
        }
    }

    private mutating func log(_ value: UInt64) {
        report.hash = (report.hash ^ value ^ time << 16) &* 0x0100_0000_01b3
    }

    private mutating func judge() {
        let oracle = controlPlane.oracle
        report.hash = (report.hash ^ UInt64(oracle.kept.count)) &* 0x0100_0000_01b3
        truth.judge(oracle, rots: rots, into: &report.violations)
    }
}
