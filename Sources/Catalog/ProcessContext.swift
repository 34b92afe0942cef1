import Glibc
public import LinuxKit

extension ResolutionContext {
    /// The facts of a running process: its environment when its program started, its user, working directory and Python.
    ///
    /// Programs that change their own environment (SGLang, TorchInductor) are not seen through. Only /proc is read now;
    /// files are looked at later, when a location is resolved, below the process's root directory.
    ///
    /// - Parameters:
    ///   - pid: the process.
    ///   - proc: where proc(5) is mounted.
    ///   - mayTouch: whether an absolute path may be looked at; answer false on network and FUSE file systems.
    /// - Throws: ``LinuxError`` when the process is gone (ENOENT, ESRCH), is no program (a kernel thread or a zombie: ENOENT)
    ///   or belongs to somebody else (EACCES): run as that user or as root.
    public init(process pid: Int32, proc: String = "/proc", mayTouch: @escaping @Sendable (String) -> Bool)
        throws(LinuxError)
    {
        let directory = "\(proc)/\(pid)"
        let program = String(decoding: try LocalFile.linkTarget(directory + "/exe"), as: UTF8.self)
        let environment = try ProcessEnvironment.of(pid, proc: proc)
        let working = String(decoding: try LocalFile.linkTarget(directory + "/cwd"), as: UTF8.self)
        let root = String(decoding: try LocalFile.linkTarget(directory + "/root"), as: UTF8.self)
        let status = try LocalFile.readText(directory + "/status", limit: 64 << 10)
        let arguments = try LocalFile.read(directory + "/cmdline", limit: 64 << 10)
        // The second number of each line is the effective one.
        guard let uid = Self.numbers("Uid:", in: status).dropFirst().first,
            let gid = Self.numbers("Gid:", in: status).dropFirst().first
        else { throw LinuxError("read", directory + "/status", code: EIO) }
        let groups = Set(Self.numbers("Groups:", in: status) + [gid])
        let files = LocalFiles(
            uid: uid, groups: groups, root: root == "/" ? "" : directory + "/root", mayTouch: mayTouch)
        let user = PasswordEntry.all(in: files.text(of: "/etc/passwd") ?? "").first { $0.uid == uid }
        self.init(
            environment: environment, home: user?.home ?? "/",
            // A directory that was removed has no name any more.
            workingDirectory: working.hasPrefix("/") && !working.hasSuffix(" (deleted)") ? working : "/", uid: uid,
            groups: groups, userName: user.map { String($0.name) } ?? String(uid), files: files)
        let first = String(decoding: arguments.prefix { $0 != 0 }, as: UTF8.self)
        if let prefix = interpreterPrefix(argument: first, program: program) { pythonPrefix = prefix }
    }

    private static func numbers(_ name: String, in status: String) -> [UInt32] {
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
        return line.dropFirst(name.count).split(whereSeparator: \.isWhitespace).compactMap { UInt32($0) }
    }

    /// `sys.prefix` of a Python process (CPython `getpath.py`): a virtual environment is known by the `pyvenv.cfg` beside or
    /// above the name under which the interpreter was started, for that name is a link into the environment; nil when the
    /// process is no Python.
    private func interpreterPrefix(argument: String, program: String) -> String? {
        guard program.split(separator: "/").last?.hasPrefix("python") == true else { return nil }
        var names = [program]
        if argument.contains("/") {
            names.insert(absolute(argument), at: 0)
        } else if let found = (environment["PATH"] ?? "").split(separator: ":").map({ join(String($0), argument) })
            .first(where: exists)
        {
            names.insert(absolute(found), at: 0)
        }
        for name in names {
            let directory = absolute(name + "/..")
            for place in [directory, absolute(directory + "/..")] where exists(join(place, "pyvenv.cfg")) {
                return place
            }
        }
        return absolute(program + "/../..")
    }
}
