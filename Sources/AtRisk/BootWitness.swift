import Glibc
public import LinuxKit
import Synchronization

/// Watches, while boot and setup run, whether anybody else in the container did anything: only when nobody did, everything
/// that was written meanwhile is known to be setup's.
///
/// Others are all processes but ours, our ancestors, and what descends from us. They did something when they started, wrote
/// bytes or waited for a child of their own. What starts from outside (`kubectl exec`) and ends between two looks is missed.
public final class BootWitness: Sendable {
    private struct Identity: Hashable {
        let pid: Int32
        let start: UInt64
    }

    private struct Activity: Equatable {
        let written: UInt64
        let childFaults: UInt64
    }

    private struct State {
        var isStopped = false
        var isFirstLook = true
        /// Our descendants, also after their parents ended.
        var ours: Set<Identity> = []
        var sessions: Set<Int32> = []
        /// What others had done when they were first seen.
        var others: [Identity: Activity] = [:]
        var active: [Identity: String] = [:]
    }

    private let table: ProcessTable
    private let own: Int32
    private let state = Mutex(State())

    private init(_ table: ProcessTable, own: Int32) {
        self.table = table
        self.own = own
    }

    /// Looks around, and then every 200 ms on a thread of its own until ``stop()``.
    ///
    /// - Parameter own: our process in that /proc; nil for the calling one.
    /// - Throws: ``LinuxError`` when no thread can be started.
    public static func start(proc: String = "/proc", own: Int32? = nil) throws(LinuxError) -> BootWitness {
        let witness = BootWitness(ProcessTable(proc: proc), own: own ?? getpid())
        witness.look()
        _ = try DedicatedThread(name: "witness", stackSize: 256 << 10) {
            while !witness.state.withLock({ $0.isStopped }) {
                usleep(200_000)
                witness.look()
            }
        }
        return witness
    }

    /// Looks once more and stops.
    ///
    /// - Returns: who else did something, as people call it; empty when nobody did.
    public func stop() -> [String] {
        look()
        return state.withLock { state in
            state.isStopped = true
            return Set(state.active.values).sorted()
        }
    }

    private func look() {
        state.withLock { state in
            if state.isStopped { return }
            let all = table.all()
            let parents = Dictionary(all.map { ($0.pid, $0.parent) }, uniquingKeysWith: { first, _ in first })
            var ancestors: Set<Int32> = [own]
            var next = parents[own]
            while let pid = next, ancestors.insert(pid).inserted { next = parents[pid] }
            let program = table.program(own)
            // Parents before children, so that a whole chain is found at one look.
            for process in all.sorted(by: { $0.startTicks < $1.startTicks }) {
                let identity = Identity(pid: process.pid, start: process.startTicks)
                if ancestors.contains(process.pid) || state.ours.contains(identity) { continue }
                let isChild = process.parent == own || state.ours.contains { $0.pid == process.parent }
                let isInSession = state.sessions.contains(process.session)
                if isChild || isInSession || (program != nil && table.program(process.pid) == program) {
                    state.ours.insert(identity)
                    // A child that has not made its own session yet is in ours, which others share.
                    if process.session == process.pid { state.sessions.insert(process.session) }
                    continue
                }
                // Without the right to read what it writes, the time that it computes tells.
                let activity = Activity(
                    written: table.written(process.pid) ?? process.cpuTicks, childFaults: process.childFaults)
                if let before = state.others[identity] {
                    if before != activity { state.active[identity] = table.command(process.pid) }
                } else {
                    state.others[identity] = activity
                    if !state.isFirstLook { state.active[identity] = table.command(process.pid) }
                }
            }
            state.isFirstLook = false
        }
    }
}
