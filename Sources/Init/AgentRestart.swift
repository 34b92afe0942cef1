import LinuxKit

/// When a daemon that ended is started again: at once it would burn a core, never it would leave time unmetered.
struct AgentRestart: Sendable {
    /// Times in nanoseconds.
    struct Limits: Sendable {
        /// The first pause; it doubles with every end.
        var shortestPause: UInt64 = 1_000_000_000
        var longestPause: UInt64 = 60_000_000_000
        /// After running so long the next pause is the shortest again.
        var isStableAfter: UInt64 = 60_000_000_000
        /// So many ends in a row that say "cannot run" and it is left off.
        var refusals = 3
    }

    enum Decision: Sendable, Equatable {
        /// Start again after so many nanoseconds; `isNew` is false when the pause no longer grows and was told already.
        case again(pause: UInt64, isNew: Bool)
        case leave
    }

    private let limits: Limits
    private var pause: UInt64 = 0
    private var refused = 0

    init(limits: Limits) { self.limits = limits }

    /// - Parameter ranFor: nanoseconds between its start and its end.
    mutating func ended(_ end: ChildProcess.Termination, ranFor: UInt64) -> Decision {
        if ranFor >= limits.isStableAfter { (pause, refused) = (0, 0) }
        // 2: it could not do its work (configuration, no permission, another agent); 126 and 127: it is no program.
        refused = [.exited(2), .exited(126), .exited(127)].contains(end) ? refused + 1 : 0
        return refused >= limits.refusals ? .leave : next()
    }

    /// There was no process or memory for it.
    mutating func notStarted() -> Decision { next() }

    private mutating func next() -> Decision {
        let before = pause
        pause = min(
            max(limits.shortestPause, before.multipliedReportingOverflow(by: 2).partialValue), limits.longestPause)
        return .again(pause: pause, isNew: pause != before)
    }
}
