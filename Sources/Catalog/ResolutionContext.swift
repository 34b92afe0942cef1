import Glibc
import LinuxKit

/// What a tool sees when it decides where to put its data: the facts of one process.
public struct ResolutionContext: Sendable {
    /// The process's environment.
    public var environment: [String: String]
    /// The home directory of the password database, used when HOME is not set.
    public var home: String
    /// The absolute working directory; relative paths start here.
    public var workingDirectory: String
    /// The effective user id.
    public var uid: UInt32
    /// The user's login name, part of some paths in the temporary directory.
    public var userName: String
    /// The text of a small configuration file, nil when it cannot be read.
    ///
    /// Called with paths below the home directory and /etc. On a network file system reading blocks: give a closure that
    /// answers nil there.
    public var readFile: @Sendable (String) -> String?
    /// Whether a directory exists and the user may write in it. The same warning holds.
    public var isWritableDirectory: @Sendable (String) -> Bool

    /// Makes a context.
    public init(
        environment: [String: String], home: String, workingDirectory: String = "/", uid: UInt32 = 0,
        userName: String = "root",
        readFile: @escaping @Sendable (String) -> String? = { Self.localFile($0) },
        isWritableDirectory: @escaping @Sendable (String) -> Bool = { Self.localDirectory($0) }
    ) {
        self.environment = environment
        self.home = home
        self.workingDirectory = workingDirectory
        self.uid = uid
        self.userName = userName
        self.readFile = readFile
        self.isWritableDirectory = isWritableDirectory
    }

    /// Reads a local file of at most 1 MiB.
    public static func localFile(_ path: String) -> String? { try? LocalFile.readText(path, limit: 1 << 20) }

    /// Whether the calling process may write in a local directory (access(2)).
    public static func localDirectory(_ path: String) -> Bool {
        (try? FileStatus(path, mode: .follow))?.kind == .directory && access(path, W_OK) == 0
    }

    // MARK: The words that the tools' rules are written in

    /// The value of a variable, also when it is empty: `os.getenv`.
    func value(_ name: String) -> String? { environment[name] }

    /// The value of a variable unless it is unset or empty: `os.environ.get(...) or ...`.
    func filled(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// The value of a variable if it is an absolute path, as the XDG base directory specification asks.
    func absoluteOnly(_ name: String) -> String? { environment[name].flatMap { $0.hasPrefix("/") ? $0 : nil } }

    /// The home directory as Python's `os.path.expanduser("~")` gives it: HOME, also when empty, else the password database.
    var homeDirectory: String {
        let home = environment["HOME"] ?? home
        let trimmed = Self.trimmingSlashes(home)
        return trimmed.isEmpty ? "/" : trimmed
    }

    /// Python's `os.path.expanduser` for `~` and `~/...`; another user's home (`~name`) stays as it is.
    func expandUser(_ path: String) -> String {
        guard path == "~" || path.hasPrefix("~/") else { return path }
        let home = Self.trimmingSlashes(environment["HOME"] ?? home)
        let result = home + path.dropFirst()
        return result.isEmpty ? "/" : result
    }

    /// Python's `os.path.expandvars`: `$NAME` and `${NAME}`, unknown names stay, values are not looked at again.
    func expandVariables(_ path: String) -> String {
        var result = ""
        var rest = Substring(path)
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            let after = rest[rest.index(after: dollar)...]
            if after.first == "{", let close = after.firstIndex(of: "}") {
                let name = String(after[after.index(after: after.startIndex)..<close])
                result += environment[name] ?? "${\(name)}"
                rest = after[after.index(after: close)...]
            } else {
                let name = after.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
                result += name.isEmpty ? "$" : environment[String(name)] ?? "$" + name
                rest = after[name.endIndex...]
            }
        }
        return result + rest
    }

    /// The absolute form without `.`, `..` and doubled slashes: Python's `os.path.abspath`.
    func absolute(_ path: String) -> String {
        let whole = path.hasPrefix("/") ? path : workingDirectory + "/" + path
        var parts: [Substring] = []
        for part in whole.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        // POSIX leaves exactly two leading slashes to the implementation; on Linux they are one.
        return "/" + parts.joined(separator: "/")
    }

    private static func trimmingSlashes(_ path: String) -> String {
        var path = Substring(path)
        while path.last == "/" { path.removeLast() }
        return String(path)
    }
}

/// Python's `os.path.join`: an absolute second part replaces the first.
func join(_ first: String, _ parts: String...) -> String {
    parts.reduce(first) { path, part in
        if part.hasPrefix("/") { return part }
        return path.isEmpty || path.hasSuffix("/") ? path + part : path + "/" + part
    }
}
