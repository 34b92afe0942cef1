import Effects
import LinuxKit
import Synchronization

/// The sampling thread's work: open NVML, keep it open, tick, and try again where it does not work.
final class SamplingLoop {
    private let shared: Shared
    private let onTick: @Sendable (GPUSnapshot) -> Void
    private var session: NVMLSession?
    private var snapshot: GPUSnapshot
    private var tryAgainAt: UInt64 = 0
    private var pause: UInt64
    private var strikes = 0
    private var serial: UInt64 = 0

    /// So many ticks in a row without one useful answer end a session: a single error is no reason.
    private static let strikeLimit = 3

    init(_ shared: Shared, _ onTick: @escaping @Sendable (GPUSnapshot) -> Void) {
        self.shared = shared
        self.onTick = onTick
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
        session = nil
    }

    private func tick(isReleased: Bool) {
        snapshot.tick += 1
        if isReleased {
            session = nil
            pause = shared.options.retryMilliseconds
            tryAgainAt = 0
            fail(NVMLSession.Problem(state: .released, reason: "let go on request; resume to sample again"))
        } else if let problem = look(at: snapshot.tick) {
            fail(problem)
        }
        snapshot.asOf = shared.clock.boottime()
        shared.publish(snapshot)
        onTick(snapshot)
    }

    /// One look at everything. Returns what keeps NVML from working.
    private func look(at tick: UInt64) -> NVMLSession.Problem? {
        let now = shared.clock.boottime()
        if session == nil || strikes >= Self.strikeLimit {
            guard now >= tryAgainAt else {
                return NVMLSession.Problem(state: snapshot.state, reason: snapshot.reason)
            }
            // A session that works is never closed to refresh it: a new one might not be allowed any more.
            session = nil
        }
        var problem = attempt(tick)
        if problem?.isWorthRetryingNow == true {
            session = nil
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
            switch NVMLSession.open(shared.options, shared.clock, shared.inFlight, remembering: snapshot.devices) {
            case .success(let opened):
                session = opened
                strikes = 0
                snapshot.driverVersion = opened.driverVersion
                snapshot.nvmlVersion = opened.nvmlVersion
                snapshot.cudaDriverVersion = opened.cudaDriverVersion
            case .failure(let problem): return problem
            }
        }
        guard let session else { return nil }
        if let problem = session.enumerateIfDue() { return problem }
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
        for event in session.takeXIDs() {
            serial += 1
            if snapshot.events.count == GPUSampler.eventLimit { snapshot.events.removeFirst() }
            snapshot.events.append(session.describe(event, serial: serial))
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
