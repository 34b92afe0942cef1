import Glibc

/// The clocks the agent reads, injected so that the simulation can move them.
///
/// Durations come from ``boottime()`` only; wall time is a label (time_namespaces(7), clock_gettime(2)).
public protocol Clock: Sendable {
    /// CLOCK_BOOTTIME in nanoseconds: never steps, counts suspend.
    func boottime() -> UInt64
    /// CLOCK_REALTIME in milliseconds since 1970-01-01 UTC. May step in either direction.
    func realtimeMilliseconds() -> Int64
}

/// The kernel's clocks.
public struct SystemClock: Clock {
    /// Makes the kernel's clocks readable.
    public init() {}

    /// CLOCK_BOOTTIME in nanoseconds.
    public func boottime() -> UInt64 {
        let time = Self.read(CLOCK_BOOTTIME)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// CLOCK_REALTIME in milliseconds since 1970-01-01 UTC.
    public func realtimeMilliseconds() -> Int64 {
        let time = Self.read(CLOCK_REALTIME)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        // Fails only for an unknown clock id; both exist since Linux 2.6.39.
        clock_gettime(clock, &time)
        return time
    }
}
