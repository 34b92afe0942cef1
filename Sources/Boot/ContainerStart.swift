public import LinuxKit

/// Which start of the container this is: it changes when the container starts again, not when the agent does.
public struct ContainerStart: Sendable, Equatable {
    /// The kernel's boot id and the start time of PID 1 in clock ticks since boot.
    public let key: String

    /// Names a start.
    public init(key: String) { self.key = key }

    /// Reads the running container's (proc(5): field 22 of stat; random(4): boot_id).
    public static func read(proc: String = "/proc") throws(LinuxError) -> ContainerStart {
        let boot = try LocalFile.readText(proc + "/sys/kernel/random/boot_id", limit: 64).filter { !$0.isWhitespace }
        guard let ticks = ProcessStat(try LocalFile.readText(proc + "/1/stat", limit: 4096))?.startTicks else {
            throw LinuxError("understand", proc + "/1/stat", code: 22)
        }
        return ContainerStart(key: "\(boot):\(ticks)")
    }
}

/// The fields of /proc/PID/stat that the room uses (proc(5)).
struct ProcessStat: Equatable {
    let session: Int32
    /// User and system time of the process, in clock ticks.
    let cpuTicks: UInt64
    let startTicks: UInt64
    let isZombie: Bool

    /// Reads a line; the name in parentheses may hold anything, also parentheses and newlines.
    init?(_ text: String) {
        guard let close = text.lastIndex(of: ")") else { return nil }
        // The first field here is number 3, the state.
        let fields = text[text.index(after: close)...].split(whereSeparator: \.isWhitespace)
        guard fields.count > 19, let session = Int32(fields[3]), let user = UInt64(fields[11]),
            let system = UInt64(fields[12]),
            let start = UInt64(fields[19])
        else { return nil }
        self.session = session
        self.cpuTicks = user &+ system
        self.startTicks = start
        self.isZombie = fields[0] == "Z"
    }

    /// A running process; nil when it is gone.
    static func of(_ pid: Int32, proc: String = "/proc") -> ProcessStat? {
        (try? LocalFile.readText("\(proc)/\(pid)/stat", limit: 4096)).flatMap { ProcessStat($0) }
    }
}
