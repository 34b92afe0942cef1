import Effects
import LinuxKit
import Synchronization

/// What the sampling thread, the watchdog and everybody else share.
final class Shared: Sendable {
    enum Command { case stop, release, resume }

    struct Control {
        var isStarted = false
        var isStopping = false
        var isReleased = false
    }

    private struct Published {
        var snapshot: GPUSnapshot
        // The call that was last counted as hanging, by its start.
        var hangingSince: UInt64 = 0
    }

    let options: GPUSampler.Options
    let clock: any Clock
    let control = Mutex(Control())
    let inFlight = CallInFlight()
    let wake: Doorbell
    let ended: Doorbell
    private let watchdogBell: Doorbell
    private let published: Mutex<Published>
    private let onTick: @Sendable (GPUSnapshot) -> Void
    // Held while the listener runs: two threads call it.
    private let delivered = Mutex<UInt64>(0)

    init(
        _ options: GPUSampler.Options, _ clock: any Clock,
        _ onTick: @escaping @Sendable (GPUSnapshot) -> Void = { _ in }
    ) throws(LinuxError) {
        self.options = options
        self.clock = clock
        self.onTick = onTick
        self.wake = try Doorbell()
        self.ended = try Doorbell()
        self.watchdogBell = try Doorbell()
        self.published = Mutex(
            Published(
                snapshot: GPUSnapshot(
                    state: .starting, reason: "the first look is still to come", asOf: clock.boottime())))
    }

    func command(_ command: Command) {
        control.withLock {
            switch command {
            case .stop: $0.isStopping = true
            case .release: $0.isReleased = true
            case .resume: $0.isReleased = false
            }
        }
        wake.ring()
        if command == .stop { watchdogBell.ring() }
    }

    func publish(_ snapshot: GPUSnapshot) {
        published.withLock {
            let hangs = $0.snapshot.statistics.hangs
            $0.snapshot = snapshot
            $0.snapshot.statistics.hangs = hangs
        }
    }

    /// Tells the listener; an older snapshot than the last one is left out.
    func deliver(_ snapshot: GPUSnapshot) {
        delivered.withLock { last in
            guard snapshot.asOf >= last else { return }
            last = snapshot.asOf
            onTick(snapshot)
        }
    }

    var snapshot: GPUSnapshot {
        var snapshot = published.withLock { $0.snapshot }
        guard let hang = hang() else { return snapshot }
        snapshot.state = .hung
        snapshot.reason =
            "the driver has not answered (\(hang.function)) for \(hang.milliseconds / 1000) s; the node needs a look"
        return snapshot
    }

    /// The sampling thread's call, when it has not returned for too long.
    private func hang() -> (function: CallInFlight.Function, since: UInt64, milliseconds: UInt64)? {
        let now = clock.boottime()
        guard let call = inFlight.current, now > call.since else { return nil }
        let milliseconds = (now - call.since) / 1_000_000
        return milliseconds >= options.unresponsiveAfterMilliseconds ? (call.function, call.since, milliseconds) : nil
    }

    /// The watchdog's thread: while the sampling thread is stuck in the driver, the listener still hears of it.
    func watch() {
        // Twice in the time after which a call counts as hanging: noticed in one and a half times that, at the latest.
        let relaxed = max(options.intervalMilliseconds, options.unresponsiveAfterMilliseconds / 2)
        var pause = relaxed
        while !watchdogBell.wait(milliseconds: Int(clamping: pause), answer: false) {
            pause = relaxed
            guard let hang = hang() else { continue }
            pause = options.intervalMilliseconds
            published.withLock {
                guard $0.hangingSince != hang.since else { return }
                $0.hangingSince = hang.since
                $0.snapshot.statistics.hangs += 1
            }
            var snapshot = snapshot
            guard snapshot.state == .hung else { continue }
            snapshot.asOf = clock.boottime()
            deliver(snapshot)
        }
    }
}
