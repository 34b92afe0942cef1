import CNVML
import Effects
import LinuxKit
import Synchronization

/// The sampling thread's work: open NVML, keep it open, tick, and try again where it does not work.
final class SamplingLoop {
    private let shared: Shared
    private let histories = DeviceHistories()
    private var session: NVMLSession?
    private var snapshot: GPUSnapshot
    private var tryAgainAt: UInt64 = 0
    private var pause: UInt64
    private var strikes = 0
    private var serial: UInt64 = 0
    /// CLOCK_REALTIME minus CLOCK_BOOTTIME, milliseconds, at the last tick: it moves only when somebody sets the clock.
    private var wallOffset: Int64?
    // What closed sessions cost.
    private var spent: (calls: UInt64, nanoseconds: UInt64) = (0, 0)

    /// So many ticks in a row without one useful answer end a session: a single error is no reason.
    private static let strikeLimit = 3

    /// NTP slews; a difference above this between two ticks is a step.
    private static let wallStepMilliseconds: Int64 = 500

    init(_ shared: Shared) {
        self.shared = shared
        self.snapshot = shared.snapshot
        self.pause = shared.options.retryMilliseconds
    }

    /// Ticks until told to stop. Late ticks are left out, not made up for.
    func run() {
        let interval = shared.options.intervalMilliseconds * 1_000_000
        var due = shared.clock.boottime()
        while true {
            let control = shared.control.withLock { $0 }
            if control.isStopping { break }
            let now = shared.clock.boottime()
            if control.isReleased != (snapshot.state == .released) || now >= due {
                tick(isReleased: control.isReleased)
                let after = shared.clock.boottime()
                if after >= due { due += (1 + (after - due) / interval) * interval }
            }
            let left = due - min(due, shared.clock.boottime())
            _ = shared.wake.wait(milliseconds: Int(clamping: (left + 999_999) / 1_000_000), answer: true)
        }
        close()
    }

    /// One tick: looks, publishes, and tells the listener.
    func tick(isReleased: Bool = false) {
        let start = shared.clock.boottime()
        let before = cost
        snapshot.tick += 1
        noticeClockStep(start)
        if isReleased {
            close()
            pause = shared.options.retryMilliseconds
            tryAgainAt = 0
            fail(NVMLSession.Problem(state: .released, reason: "let go on request; resume to sample again"))
        } else if let problem = look(at: snapshot.tick) {
            fail(problem)
        }
        let now = shared.clock.boottime()
        let after = cost
        snapshot.statistics.nvmlCalls = after.calls
        snapshot.statistics.nvmlNanoseconds = after.nanoseconds
        snapshot.statistics.tickNanoseconds = now - min(now, start)
        let inside = after.nanoseconds - before.nanoseconds
        snapshot.statistics.ownNanoseconds =
            snapshot.statistics.tickNanoseconds - min(snapshot.statistics.tickNanoseconds, inside)
        snapshot.asOf = now
        shared.publish(snapshot)
        shared.deliver(shared.snapshot)
    }

    private var cost: (calls: UInt64, nanoseconds: UInt64) {
        guard let session else { return spent }
        return (spent.calls + session.cost.calls, spent.nanoseconds + session.cost.nanoseconds)
    }

    private func close() {
        guard session != nil else { return }
        spent = cost
        session = nil
    }

    private func noticeClockStep(_ now: UInt64) {
        let offset = shared.clock.realtimeMilliseconds() - Int64(clamping: now / 1_000_000)
        if let before = wallOffset, (offset - before).magnitude > Self.wallStepMilliseconds { histories.clockWasSet() }
        wallOffset = offset
    }

    /// One look at everything. Returns what keeps NVML from working.
    private func look(at tick: UInt64) -> NVMLSession.Problem? {
        let now = shared.clock.boottime()
        if session == nil || strikes >= Self.strikeLimit {
            guard now >= tryAgainAt else {
                return NVMLSession.Problem(state: snapshot.state, reason: snapshot.reason)
            }
            // A session that works is never closed to refresh it: a new one might not be allowed any more.
            close()
        }
        var problem = attempt(tick)
        if problem?.isWorthRetryingNow == true {
            close()
            problem = attempt(tick)
        }
        guard let problem else {
            strikes = 0
            pause = shared.options.retryMilliseconds
            return nil
        }
        strikes += 1
        if session == nil || strikes >= Self.strikeLimit {
            tryAgainAt = now + pause * 1_000_000
            pause = min(pause * 2, shared.options.retryLimitMilliseconds)
        }
        return problem
    }

    private func attempt(_ tick: UInt64) -> NVMLSession.Problem? {
        if session == nil {
            switch NVMLSession.open(
                shared.options, shared.clock, shared.inFlight, remembering: snapshot.devices, histories)
            {
            case .success(let opened):
                session = opened
                strikes = 0
                snapshot.generation += 1
                snapshot.driverVersion = opened.driverVersion
                snapshot.nvmlVersion = opened.nvmlVersion
                snapshot.cudaDriverVersion = opened.cudaDriverVersion
            case .failure(let problem): return problem
            }
        }
        guard let session else { return nil }
        if let problem = session.enumerateIfDue(tick: tick) { return problem }
        takeEvents(session)
        let samples: [GPUSample]
        switch session.sample(tick: tick) {
        case .success(let answer): samples = answer
        case .failure(let problem): return problem
        }
        snapshot.devices = session.descriptions
        snapshot.samples = samples
        snapshot.hiddenDevices = session.hiddenDevices
        snapshot.failedDevices = session.failedDevices
        if let problem = session.overall(samples) { return problem }
        snapshot.state = .ok
        snapshot.reason = ""
        return nil
    }

    private func takeEvents(_ session: NVMLSession) {
        guard let batch = session.takeEvents() else { return }
        for (type, count) in batch.others { snapshot.eventCounts[Self.name(type), default: 0] += count }
        for (key, seen) in batch.xids.sorted(by: { $0.value.last < $1.value.last }) {
            let uuid = session.uuid(key.device)
            if let index = snapshot.xidCounts.firstIndex(where: { $0.uuid == uuid && $0.xid == key.xid }) {
                snapshot.xidCounts[index].count += seen.count
                snapshot.xidCounts[index].lastBoottime = seen.last
            } else if snapshot.xidCounts.count < EventWaiter.keyLimit {
                snapshot.xidCounts.append(
                    GPUXIDCount(uuid: uuid, xid: key.xid, count: seen.count, lastBoottime: seen.last))
            }
        }
        // Serials count what was left out too.
        serial += batch.total
        for (index, event) in batch.newest.enumerated() {
            if snapshot.events.count == GPUSampler.eventLimit { snapshot.events.removeFirst() }
            let number = serial - UInt64(batch.newest.count - 1 - index)
            snapshot.events.append(session.describe(event, serial: number))
        }
    }

    private static func name(_ type: UInt64) -> String {
        switch type {
        case nvmlEventTypeSingleBitEccError: "ecc_single_bit"
        case nvmlEventTypeDoubleBitEccError: "ecc_double_bit"
        case nvmlEventTypePowerSourceChange: "power_source"
        case nvmlEventMigConfigChange: "mig_configuration"
        default: "other"
        }
    }

    /// NVML does not answer: the devices stay listed, their values are gone.
    private func fail(_ problem: NVMLSession.Problem) {
        snapshot.state = problem.state
        snapshot.reason = problem.reason
        let now = shared.clock.boottime()
        let lost = Set(snapshot.samples.lazy.filter { $0.state == .lost }.map(\.uuid))
        snapshot.samples = snapshot.devices.map {
            GPUSample(uuid: $0.uuid, boottime: now, state: lost.contains($0.uuid) ? .lost : .error)
        }
    }
}
