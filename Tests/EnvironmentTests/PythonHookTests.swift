import Catalog
import Environment
import Glibc
import LinuxKit
import Testing

/// The start-up file under a real Python.
@Suite struct PythonHookTests {
    private static let python = "/usr/bin/python3"
    let pod: ScratchPod
    private var site: String { pod.path + "/lib/site-packages" }
    private var mount: String { pod.path + "/volume" }

    init() throws {
        try requirePrograms(Self.python)
        pod = try ScratchPod()
        for directory in [site, mount + "/pip-packages"] { try AtomicFile.createDirectory(directory) }
    }

    private var version: PythonVersion {
        get throws {
            let text = try output(Self.python, ["-c", "import sys; print(*sys.version_info[:2])"])
            let numbers = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isWhitespace).compactMap {
                Int($0)
            }
            return PythonVersion(numbers[0], numbers[1])
        }
    }

    fileprivate func plan(_ packages: PythonPackages = .absent, _ container: [String: String] = [:]) throws
        -> EnvironmentPlan
    {
        let mount = mount
        var facts = EnvironmentPlan.Facts(
            volume: .init(name: "v", mountPoint: mount), container: container, isPersistent: { $0.hasPrefix(mount) },
            files: NoFiles())
        facts.pythons = [
            PythonSite(interpreter: Self.python, version: try version, siteDirectory: "/lib/site-packages")
        ]
        facts.pythonPackages = packages
        facts.users = [.root, .init(uid: getuid(), home: "/nowhere")]
        return EnvironmentPlan.make(facts)
    }

    /// Starts the interpreter as it would start with our site-packages, and runs `code`.
    private func run(
        _ code: String, options: [String] = ["-S"], environment: [String: String] = ["HOME": "/h"],
        prefix: [String] = []
    ) throws -> [UInt8] {
        let words = prefix + [Self.python] + options + ["-c", "import site; site.addsitedir('\(site)'); \(code)"]
        return try output(words[0], Array(words.dropFirst()), environment: environment)
    }

    private let show = "import os; os.execv('/usr/bin/env', ['env', '-0'])"

    @Test func everyStartSetsWhatIsUnsetAndKeepsWhatIsSet() throws {
        let plan = try plan(container: ["TORCH_HOME": "/old"])
        try pod.apply.apply(plan)
        for options in [["-S"], ["-S", "-E"], ["-S", "-I"], ["-S", "-s"]] {
            let seen = entries(
                try run(
                    show, options: options, environment: ["HOME": "/h", "KERAS_HOME": "/mine", "TORCH_HOME": "/old"]))
            #expect(seen["HF_HOME"] == mount + "/huggingface")
            #expect(seen["KERAS_HOME"] == "/mine" && seen["TORCH_HOME"] == mount + "/models/torch")
            #expect(seen["HF_TOKEN_PATH"] == mount + "/.packet/secrets/\(getuid())/hf/token", "by user, not by HOME")
        }
        try pod.apply.setReady(false)
        #expect(entries(try run(show))["HF_HOME"] == nil)
        try pod.apply.revert()
        #expect(access(site + "/packet_agent_env.pth", F_OK) != 0)
    }

    @Test func aBrokenOrMissingProgramIsSilent() throws {
        try pod.apply.apply(try plan())
        for text in ["raise SystemError('x')", "syntax error (", nil] as [String?] {
            let file = pod.path + "/run/env.py"
            if let text { try AtomicFile.write(text.utf8, to: file) } else { unlink(file) }
            let answer = try output(
                "/bin/sh",
                [
                    "-c", "exec \"$@\" 2>&1", "sh", Self.python, "-S", "-c",
                    "import site; site.addsitedir('\(site)'); print('fine')",
                ])
            #expect(String(decoding: answer, as: UTF8.self) == "fine\n")
        }
    }

    @Test func packagesThatFitComeBeforeSitePackagesAndNotInAVirtualEnvironment() throws {
        for (directory, text) in [
            (site, "image"), (mount + "/pip-packages", "flat"), (mount + "/pip-packages/own", "own"),
        ] {
            try AtomicFile.createDirectory(directory)
            try AtomicFile.write("whence = '\(text)'".utf8, to: directory + "/hello.py")
        }
        let version = try version
        var machine = utsname()
        uname(&machine)
        let name = withUnsafeBytes(of: machine.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let own = "cp\(version.major)\(version.minor)-\(name)"
        rename(mount + "/pip-packages/own", mount + "/pip-packages/" + own)
        let code = "import hello; print(hello.whence)"
        func whence(_ packages: PythonPackages, options: [String] = ["-S"]) throws -> String {
            try pod.apply.apply(try plan(packages))
            return String(decoding: try run(code, options: options), as: UTF8.self)
        }
        let pure = [["py3-none-any"]]
        #expect(try whence(.absent) == "image\n")
        #expect(try whence(.found(tags: pure, interpreters: [])) == "flat\n")
        #expect(try whence(.found(tags: [["cp27-cp27m-linux_\(name)"]], interpreters: [])) == "image\n")
        #expect(
            try whence(
                .found(
                    tags: [["py3-none-any"], ["cp\(version.major)\(version.minor)-none-win_amd64"]], interpreters: []))
                == "image\n")
        let both = PythonPackages.found(tags: pure, interpreters: [], directories: [own])
        #expect(try whence(both) == "own\n")
        #expect(try whence(both, options: ["-S", "-I"]) == "image\n", "as for PYTHONPATH")
        #expect(try whence(both, options: ["-S", "-E"]) == "image\n")

        try output(Self.python, ["-m", "venv", "--without-pip", pod.path + "/venv"])
        let answer = try output(
            pod.path + "/venv/bin/python", ["-c", "import site; site.addsitedir('\(site)'); \(code)"],
            environment: ["HOME": "/h"])
        #expect(String(decoding: answer, as: UTF8.self) == "image\n")
    }

    @Test func theHookNeverLooksAtTheVolume() throws {
        try requirePrograms("/usr/bin/strace")
        try pod.apply.apply(try plan())
        let log = pod.path + "/trace"
        let seen = entries(try run(show, prefix: ["/usr/bin/strace", "-f", "-qq", "-e", "trace=%file", "-o", log]))
        #expect(seen["HF_HOME"] == mount + "/huggingface")
        let calls = try LocalFile.readText(log)
        #expect(calls.contains("volume.ready") && !calls.contains(mount))
    }

    @Test func interpretersAreFoundAndEnvironmentsAreNot() throws {
        try output(Self.python, ["-m", "venv", "--without-pip", pod.path + "/venv"])
        let sites = PythonSites.find(
            path: pod.path + "/venv/bin:/usr/bin", homes: [pod.path], isPersistent: { $0.hasPrefix("/mnt/") },
            probe: ChildSide.probe, milliseconds: 60_000)
        #expect(sites.contains { $0.version == (try? version) && $0.siteDirectory.hasSuffix("-packages") })
        #expect(!sites.contains { $0.interpreter.hasPrefix(pod.path) })
        #expect(Set(sites.map(\.interpreter)).count == sites.count)
    }

    @Test func pipTakesItsCacheFromTheFile() throws {
        let plan = try plan()
        try pod.apply.apply(plan)
        let answer = try output(
            Self.python, ["-m", "pip", "cache", "dir"],
            environment: ["PIP_CONFIG_FILE": pod.path + "/etc/pip.conf", "HOME": pod.path])
        #expect(String(decoding: answer, as: UTF8.self) == mount + "/.packet/cache/pip\n")
        #expect(try LocalFile.readText(pod.path + "/etc/pip.conf").contains("user = no\n[global]\n# >>>"))
    }
}

extension PythonHookTests {
    fileprivate func plan(container: [String: String]) throws -> EnvironmentPlan { try plan(.absent, container) }
}
