import Effects
import Synchronization
import Testing

@testable import GPU

/// Time that moves only when a test says so.
final class TickClock: Clock {
    private let now: Mutex<(boot: UInt64, wall: Int64)>

    init() { now = Mutex((SystemClock().boottime(), SystemClock().realtimeMilliseconds())) }

    func boottime() -> UInt64 { now.withLock { $0.boot } }
    func realtimeMilliseconds() -> Int64 { now.withLock { $0.wall } }

    /// Both clocks go on.
    func advance(milliseconds: UInt64) {
        now.withLock {
            $0.boot += milliseconds * 1_000_000
            $0.wall += Int64(milliseconds)
        }
    }

    /// Somebody sets the wall clock.
    func setWall(by milliseconds: Int64) { now.withLock { $0.wall += milliseconds } }
}

/// The sampling thread's work without the thread: one tick a call, as fast as the simulator answers.
final class DrivenSampler {
    let clock = TickClock()
    let shared: Shared
    let interval: UInt64
    private var loop: SamplingLoop?

    init(_ driver: SimulatedDriver, _ adjust: (inout GPUSampler.Options) -> Void = { _ in }) throws {
        var options = driver.options
        options.intervalMilliseconds = 1000
        adjust(&options)
        interval = options.intervalMilliseconds
        shared = try Shared(options, clock)
        loop = SamplingLoop(shared)
    }

    /// Ticks so often, an interval apart.
    @discardableResult
    func tick(_ times: Int = 1, isReleased: Bool = false) -> GPUSnapshot {
        for _ in 0..<times {
            clock.advance(milliseconds: interval)
            loop?.tick(isReleased: isReleased)
        }
        return shared.snapshot
    }

    /// Ticks until the snapshot fits, so often at most.
    @discardableResult
    func tick(atMost times: Int, until fits: (GPUSnapshot) -> Bool) -> GPUSnapshot {
        for _ in 0..<times where !fits(shared.snapshot) { tick() }
        return shared.snapshot
    }

    /// Lets everything go, as the end of the sampling thread does.
    func end() { loop = nil }
}
