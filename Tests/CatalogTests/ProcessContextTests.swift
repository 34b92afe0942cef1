import Catalog
import Glibc
import LinuxKit
import Testing

@Suite struct ProcessContextTests {
    private let directory: String

    init() throws {
        var template = Array("/tmp/catalog.XXXXXX".utf8CString)
        directory = try #require(mkdtemp(&template).map { String(cString: $0) })
    }

    private func spawn(
        _ program: String, _ arguments: [String], environment: [String: String], output: Int32? = nil
    ) throws -> ChildProcess {
        let child = try ChildProcess.spawn(
            .init(
                executable: program, arguments: arguments, environment: environment, workingDirectory: directory,
                descriptors: (nil, output, nil)))
        // posix_spawn(3) returns when the child has let the parent's memory go, which is before its own has arguments and an
        // environment; one that has ended already has none.
        for _ in 0..<1000 where try LocalFile.read("/proc/\(child.pid)/cmdline").isEmpty { usleep(1000) }
        return child
    }

    @Test func aProcessIsSeenAsItWasStarted() throws {
        let child = try spawn("/bin/sleep", ["600"], environment: ["HF_HOME": "h", "EMPTY": ""])
        defer {
            child.signalGroup(SIGKILL)
            _ = child.wait()
        }
        let context = try ResolutionContext(process: child.pid, mayTouch: { _ in true })
        #expect(context.environment == ["HF_HOME": "h", "EMPTY": ""])
        #expect(context.workingDirectory == directory)
        #expect(context.uid == geteuid())
        #expect(context.home == String(cString: getpwuid(geteuid()).pointee.pw_dir))
        #expect(context.userName == String(cString: getpwuid(geteuid()).pointee.pw_name))
        #expect(Catalog.tool("huggingface-hub")?.resolve(context) == directory + "/h/hub")
    }

    @Test func aPythonIsAskedForItsEnvironmentAndNotItsProgram() throws {
        try AtomicFile.createDirectory(directory + "/venv/bin")
        try AtomicFile.write("home = /usr/bin\n".utf8, to: directory + "/venv/pyvenv.cfg")
        try #require(symlink("/usr/bin/python3", directory + "/venv/bin/python") == 0)
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let reader = Descriptor(owning: ends[0])
        let program = "import sys, time; print(sys.prefix, flush=True); sys.stdout = None; time.sleep(600)"
        let child = try spawn(
            directory + "/venv/bin/python", ["-c", program], environment: [:], output: ends[1])
        close(ends[1])
        defer {
            child.signalGroup(SIGKILL)
            _ = child.wait()
        }
        // It has started when it says so.
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(reader.number, &buffer, buffer.count)
        let prefix = String(decoding: buffer.prefix(max(0, count)).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        #expect(try ResolutionContext(process: child.pid, mayTouch: { _ in true }).pythonPrefix == prefix)
        #expect(prefix == directory + "/venv")
        #expect(try ResolutionContext(process: child.pid, mayTouch: { _ in false }).pythonPrefix == "/usr")
    }

    @Test func aProcessThatEndedIsAnError() throws {
        let child = try spawn("/bin/true", [], environment: [:])
        let pid = child.pid
        _ = child.wait()
        let error = #expect(throws: LinuxError.self) { try ResolutionContext(process: pid, mayTouch: { _ in true }) }
        #expect(error?.code == ENOENT)
    }

    @Test func whatMayNotBeReadIsAnErrorThatNamesIt() throws {
        try AtomicFile.createDirectory(directory + "/proc/7")
        try #require(symlink("/bin/x", directory + "/proc/7/exe") == 0)
        let error = #expect(throws: LinuxError.self) {
            try ResolutionContext(process: 7, proc: directory + "/proc", mayTouch: { _ in true })
        }
        #expect(error?.description == "cannot open \(directory)/proc/7/environ: No such file or directory")
    }

    @Test func filesThatMayNotBeTouchedAreUnknown() throws {
        let child = try spawn("/bin/sleep", ["600"], environment: ["HOME": directory, "NLTK_DATA": directory])
        defer {
            child.signalGroup(SIGKILL)
            _ = child.wait()
        }
        let context = try ResolutionContext(process: child.pid, mayTouch: { _ in false })
        #expect(context.files.access(to: directory) == .unknown)
        #expect(context.files.entry(at: directory) == nil)
        #expect(context.files.text(of: "/etc/passwd") == nil)
        #expect(context.files.names(in: "/") == [])
        // What is named lies on a volume, where nobody looks.
        #expect(Catalog.tool("nltk")?.resolve(context) == directory)
        #expect(Catalog.tool("keras")?.resolve(context) == directory + "/.keras")
    }
}

@Suite struct LocalFilesTests {
    @Test func anotherUsersPermissionsAreReadFromTheBits() throws {
        var template = Array("/tmp/catalog.XXXXXX".utf8CString)
        let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
        for (name, mode) in [("open", 0o777), ("shared", 0o775), ("closed", 0o755), ("group", 0o570)]
            as [(String, mode_t)]
        {
            try #require(mkdir(directory + "/" + name, 0o700) == 0 && chmod(directory + "/" + name, mode) == 0)
        }
        let other = LocalFiles(uid: 54_321)
        // The directory itself is private.
        #expect(other.access(to: directory + "/open") == .missing)
        try #require(chmod(directory, 0o755) == 0)
        #expect(other.access(to: directory + "/open") == .writable)
        #expect(other.access(to: directory + "/shared") == .notWritable)
        #expect(LocalFiles(uid: 54_321, groups: [getegid()]).access(to: directory + "/shared") == .writable)
        #expect(other.access(to: directory + "/closed") == .notWritable)
        #expect(other.access(to: directory + "/gone") == .missing)
        #expect(LocalFiles().access(to: directory + "/closed") == .writable)
        #expect(LocalFiles().names(in: directory) == ["closed", "group", "open", "shared"])
    }

    @Test func onlySmallRegularFilesAreRead() {
        #expect(LocalFiles().text(of: "/dev/zero") == nil)
        #expect(LocalFiles().text(of: "/etc/passwd")?.contains("root") == true)
        #expect(LocalFiles(root: "/etc").text(of: "/passwd") == LocalFiles().text(of: "/etc/passwd"))
    }
}
