public import LinuxKit

/// Which start of the container this is: it changes when the container starts again, not when the agent does.
public struct ContainerStart: Sendable, Equatable {
    /// The kernel's boot id, the container's id, and the start time of PID 1 in clock ticks since boot.
    ///
    /// With a shared PID namespace PID 1 is the pod's sandbox and outlives a container; the id differs then.
    public let key: String

    /// Names a start.
    public init(key: String) { self.key = key }

    /// Reads the running container's (proc(5): field 22 of stat; random(4): boot_id).
    public static func read(proc: String = "/proc") throws(LinuxError) -> ContainerStart {
        let boot = try LocalFile.readText(proc + "/sys/kernel/random/boot_id", limit: 64).filter { !$0.isWhitespace }
        guard let ticks = ProcessStat(try LocalFile.readText(proc + "/1/stat", limit: 4096))?.startTicks else {
            throw LinuxError("understand", proc + "/1/stat", code: 22)
        }
        return ContainerStart(key: "\(boot):\(containerID(proc: proc)):\(ticks)")
    }

    /// The container's id as the runtime wrote it into the control group's name (64 hexadecimal digits: Docker, containerd,
    /// CRI-O), else a digest of where the layer of `/` is written, which no two containers share; empty outside containers.
    static func containerID(proc: String) -> String {
        let groups = (try? LocalFile.readText(proc + "/self/cgroup", limit: 1 << 16)) ?? ""
        for word in groups.split(whereSeparator: { !$0.isHexDigit }) where word.count == 64 { return String(word) }
        let mounts = (try? LocalFile.readText(proc + "/self/mountinfo")) ?? ""
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 4, fields[4] == "/", let options = fields.last else { continue }
            let upper = options.split(separator: ",").first { $0.hasPrefix("upperdir=") }
            if let upper { return String(SHA256.hexadecimal(Array(upper.utf8)).prefix(16)) }
        }
        return ""
    }
}

/// The fields of /proc/PID/stat that the room uses (proc(5)).
struct ProcessStat: Equatable {
    let group: Int32
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
        guard fields.count > 19, let group = Int32(fields[2]), let session = Int32(fields[3]),
            let user = UInt64(fields[11]),
            let system = UInt64(fields[12]),
            let start = UInt64(fields[19])
        else { return nil }
        self.group = group
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
