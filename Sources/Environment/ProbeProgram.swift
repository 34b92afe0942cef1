import Glibc
public import LinuxKit

/// The program that is started as a child for everything that touches a volume: this executable's `probe` command.
///
/// A volume may not answer, and a thread that asks it can never be ended; a child can be left behind.
public struct ProbeProgram: Sendable {
    /// Absolute path.
    public let executable: String
    /// Arguments before the probe's name.
    public let arguments: [String]

    /// This executable, also after the file was replaced by an upgrade (proc(5)).
    public static let current = ProbeProgram(executable: "/proc/self/exe", arguments: ["probe"])

    /// Names a program.
    public init(executable: String, arguments: [String]) {
        self.executable = executable
        self.arguments = arguments
    }

    /// What to start for a probe; the environment has only PATH and HOME.
    public func specification(_ name: String, _ arguments: [String]) -> ChildProcess.Specification {
        var environment = ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        if let home = getenv("HOME") { environment["HOME"] = String(cString: home) }
        return .init(executable: executable, arguments: self.arguments + [name] + arguments, environment: environment)
    }

    /// Runs a probe and captures what it writes, up to `limit` bytes.
    public func run(_ name: String, _ arguments: [String], milliseconds: Int, limit: Int = 1 << 20) throws(LinuxError)
        -> ChildProcess.Captured
    {
        try ChildProcess.capture(specification(name, arguments), limit: limit, milliseconds: milliseconds)
    }

    /// The probes of this room by name, for the `probe` command: each gets its arguments and returns an exit code.
    public static let environmentProbes: [(name: String, main: @Sendable ([String]) -> Int32)] = [
        ("mkdir", { VolumeDirectories.main($0) }),
        ("python-packages", { PythonPackages.main($0) }),
        ("python-sites", { PythonSites.main($0) }),
    ]
}

/// The names in a directory.
enum Directory {
    /// All names but `.` and `..`; none when it cannot be read.
    static func names(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}

/// Standard output of a probe.
enum StandardOutput {
    /// Writes text; a reader that went away is not this program's problem.
    static func write(_ text: String) {
        let output = Descriptor(owning: dup(1))
        try? output.writeAll(text.utf8)
    }
}
