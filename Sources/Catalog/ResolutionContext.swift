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
    /// The groups of the user.
    public var groups: Set<UInt32>
    /// The user's login name, part of some paths in the temporary directory.
    public var userName: String
    /// The prefix of the Python interpreter (`sys.prefix`): a virtual environment or an installation.
    public var pythonPrefix: String
    /// The files that rules may look at.
    public var files: any FileView

    /// Makes a context.
    ///
    /// - Parameters:
    ///   - pythonPrefix: not set: the active virtual environment (VIRTUAL_ENV), else /usr.
    ///   - files: not set: local files as the user sees them. They are read when a location is resolved, so give a view
    ///     that leaves out file systems that can hang, unless the calling process may wait for them.
    public init(
        environment: [String: String], home: String, workingDirectory: String = "/", uid: UInt32 = 0,
        groups: Set<UInt32> = [], userName: String = "root", pythonPrefix: String? = nil, files: (any FileView)? = nil
    ) {
        self.environment = environment
        self.home = home
        self.workingDirectory = workingDirectory
        self.uid = uid
        self.groups = groups
        self.userName = userName
        let active = environment["VIRTUAL_ENV"].flatMap { $0.isEmpty ? nil : $0 }
        self.pythonPrefix = pythonPrefix ?? active ?? "/usr"
        self.files = files ?? LocalFiles(uid: uid, groups: groups)
    }

    // MARK: The words that the tools' rules are written in

    /// The value of a variable, also when it is empty: `os.getenv`.
    func value(_ name: String) -> String? { environment[name] }

    /// The value of a variable unless it is unset or empty: `os.environ.get(...) or ...`.
    func filled(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// The value of a variable if it is an absolute path, as the XDG base directory specification asks.
    func absoluteOnly(_ name: String) -> String? { environment[name].flatMap { $0.hasPrefix("/") ? $0 : nil } }

    /// Whether something is at a path; false when it is unknown.
    func exists(_ path: String) -> Bool { files.entry(at: absolute(path)) != nil }

    /// Whether a path may be written. What cannot be looked at is taken for writable: it lies on a volume.
    func isWritable(_ path: String) -> Bool {
        let access = files.access(to: absolute(path))
        return access == .writable || access == .unknown
    }

    /// Whether a directory is there or could be made (mkdir -p) and may be written.
    func canMakeDirectory(_ path: String) -> Bool {
        var path = absolute(path)
        while true {
            switch files.access(to: path) {
            case .unknown: return true
            case .notWritable: return false
            case .writable: return files.entry(at: path)?.isDirectory ?? true
            case .missing:
                guard path != "/" else { return false }
                path = absolute(path + "/..")
            }
        }
    }
}
