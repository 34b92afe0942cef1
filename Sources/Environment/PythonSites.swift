import Glibc
import LinuxKit

/// The 3.11 of a Python.
public struct PythonVersion: Sendable, Hashable, Comparable {
    /// The 3.
    public let major: Int
    /// The 11.
    public let minor: Int

    /// Names a version.
    public init(_ major: Int, _ minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Older versions first.
    public static func < (left: PythonVersion, right: PythonVersion) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
}

/// An interpreter that is no virtual environment, and where it looks for `.pth` files first.
public struct PythonSite: Sendable, Equatable {
    /// Absolute path of the program.
    public let interpreter: String
    /// Its version.
    public let version: PythonVersion
    /// The first directory of its `site.getsitepackages()`.
    public let siteDirectory: String

    /// Names an interpreter.
    public init(interpreter: String, version: PythonVersion, siteDirectory: String) {
        self.interpreter = interpreter
        self.version = version
        self.siteDirectory = siteDirectory
    }
}

/// Finds the interpreters of the pod.
public enum PythonSites {
    /// Looks in a child process with a deadline: PATH may name directories on a volume.
    ///
    /// - Parameters:
    ///   - path: the container's PATH.
    ///   - homes: home directories, below which pyenv, conda and uv put interpreters.
    ///   - isPersistent: interpreters on a volume are left out; they belong to whoever put them there.
    public static func find(
        path: String, homes: [String], isPersistent: (String) -> Bool, probe: ProbeProgram = .current,
        milliseconds: Int = 10_000
    ) -> [PythonSite] {
        let directories = (path.split(separator: ":").map(String.init) + usual(homes)).filter {
            $0.hasPrefix("/") && !isPersistent($0)
        }
        guard let answer = try? probe.run("python-sites", directories, milliseconds: milliseconds) else { return [] }
        var sites: [PythonSite] = []
        for line in String(decoding: answer.output, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: "\t").map(String.init)
            guard fields.count == 4, let major = Int(fields[0]), let minor = Int(fields[1]), fields[3].hasPrefix("/"),
                !isPersistent(fields[3])
            else { continue }
            sites.append(
                PythonSite(interpreter: fields[2], version: PythonVersion(major, minor), siteDirectory: fields[3]))
        }
        return sites
    }

    private static func usual(_ homes: [String]) -> [String] {
        ["/usr/local/bin", "/usr/bin"]
            + (["/opt"] + homes).flatMap { place in
                ["conda", "miniconda3", "anaconda3", "miniforge3", "mambaforge"].map { "\(place)/\($0)/bin" }
            }
            + homes.flatMap { ["\($0)/.pyenv/versions/*/bin", "\($0)/.local/share/uv/python/*/bin"] }
    }

    /// The child's side: `python-sites DIRECTORY...`, a component `*` of which stands for every name. Writes one line per
    /// interpreter: version, program, directory.
    public static func main(_ arguments: [String]) -> Int32 {
        var seen: Set<String> = []
        for pattern in arguments {
            for directory in expand(pattern) where !isEnvironment(directory) {
                for name in Directory.names(directory).sorted() where isInterpreter(name) {
                    let program = directory + "/" + name
                    guard let real = realpath(program, nil) else { continue }
                    defer { free(real) }
                    guard seen.insert(String(cString: real)).inserted, isProgram(program),
                        let answer = ask(program)
                    else { continue }
                    StandardOutput.write(
                        "\(answer.version.major)\t\(answer.version.minor)\t\(program)\t\(answer.directory)\n")
                }
            }
        }
        return 0
    }

    private static func expand(_ pattern: String) -> [String] {
        let parts = pattern.split(separator: "/").map(String.init)
        guard let star = parts.firstIndex(of: "*") else { return [pattern] }
        let before = "/" + parts[..<star].joined(separator: "/")
        let after = parts[(star + 1)...].joined(separator: "/")
        return Directory.names(before).sorted().map { "\(before)/\($0)/\(after)" }
    }

    /// `bin` of a virtual environment (PEP 405), or of a conda environment that is not the installation itself.
    private static func isEnvironment(_ directory: String) -> Bool {
        let prefix = AtomicFile.parent(of: directory)
        if LocalText.exists(prefix + "/pyvenv.cfg") { return true }
        return LocalText.exists(prefix + "/conda-meta") && !LocalText.exists(prefix + "/condabin")
    }

    /// `python`, `python3`, `python3.11`.
    private static func isInterpreter(_ name: String) -> Bool {
        guard name.hasPrefix("python") else { return false }
        let version = name.dropFirst(6).split(separator: ".", omittingEmptySubsequences: false)
        return version == [""]
            || (version.count <= 2 && version.allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isNumber) })
    }

    /// Not a script such as pyenv's shims, which start another interpreter that is found where it is.
    private static func isProgram(_ path: String) -> Bool {
        guard access(path, X_OK) == 0, let start = try? LocalFile.read(path, limit: 4) else { return false }
        return start == [0x7f, UInt8(ascii: "E"), UInt8(ascii: "L"), UInt8(ascii: "F")]
    }

    /// `-S`: without running `.pth` files; `-I`: without the caller's directory and variables.
    private static func ask(_ interpreter: String) -> (version: PythonVersion, directory: String)? {
        let code = "import sys, site; print(*sys.version_info[:2], sep='\\n'); print(site.getsitepackages()[0])"
        let answer = try? ChildProcess.capture(
            .init(
                executable: interpreter, arguments: ["-I", "-S", "-c", code], environment: ["PATH": "/usr/bin:/bin"],
                newSession: false), limit: 4096, milliseconds: 3000)
        let lines = String(decoding: answer?.output ?? [], as: UTF8.self).split(separator: "\n").map(String.init)
        guard answer?.termination == .exited(0), lines.count == 3, let major = Int(lines[0]), let minor = Int(lines[1])
        else { return nil }
        return (PythonVersion(major, minor), lines[2])
    }
}
