import Glibc
import LinuxKit

/// The processes of a script's session (setsid(2)): what it started, unless that made a session of its own.
struct SetupSession {
    /// The session's number: that of the script's own process.
    let leader: Int32

    /// The members that are not dead, and their process groups.
    func members() -> [(pid: Int32, group: Int32, cpuTicks: UInt64)] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var members: [(Int32, Int32, UInt64)] = []
        while let entry = readdir(directory) {
            let pid = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { Int32(String(cString: $0)) }
            }
            if let pid, let stat = ProcessStat.of(pid), stat.session == leader, !stat.isZombie {
                members.append((pid, stat.group, stat.cpuTicks))
            }
        }
        return members
    }

    /// The CPU time of all members in clock ticks.
    var cpuTicks: UInt64 { members().reduce(0) { $0 &+ $1.cpuTicks } }

    /// Sends a signal to every group of the session, shells' jobs too. The number of a group is not another's while it has a
    /// member.
    func signal(_ number: Int32) {
        for group in Set(members().map(\.group)) { kill(-group, number) }
    }

    /// Ends everything: SIGTERM, and SIGKILL for what is left after the grace, whether or not the leader lives.
    ///
    /// - Returns: how the leader ended; nil when it cannot be ended (it waits for a disk or a server).
    func end(_ child: ChildProcess, graceMilliseconds: Int, pollMilliseconds: Int) -> ChildProcess.Termination? {
        var termination: ChildProcess.Termination?
        for (number, milliseconds) in [(SIGTERM, graceMilliseconds), (SIGKILL, Self.killMilliseconds)] {
            signal(number)
            var left = milliseconds
            while left > 0 {
                let pause = min(left, pollMilliseconds)
                if termination == nil {
                    termination = child.wait(milliseconds: pause)
                } else {
                    usleep(UInt32(pause) * 1000)
                }
                if termination != nil && members().isEmpty { return termination }
                left -= pause
                // One that was just being started has not got the first.
                if number == SIGKILL { signal(number) }
            }
        }
        return termination
    }

    /// How long a killed process may take to go.
    private static let killMilliseconds = 5000
}
