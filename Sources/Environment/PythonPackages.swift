import Glibc
import LinuxKit

/// `environment.pythonpath`: whether PYTHONPATH gets the volume's `pip-packages`.
public enum PythonPathRule: String, Sendable, Equatable {
    /// When its packages fit every python3 on PATH.
    case auto
    /// In any case.
    case always
    /// Not at all.
    case never
}

/// What is known of the packages in the volume's `pip-packages`.
///
/// PYTHONPATH reaches every interpreter, so one package built for another version breaks programs that never asked for it.
public enum PythonPackages: Sendable, Equatable {
    /// There is no such directory, or it holds no installed package.
    case absent
    /// The directory did not answer or could not be read.
    case unknown(String)
    /// The wheel tags of each installed package (one array per package), the versions of the interpreters on PATH, and the
    /// names of directories for one version of Python such as `cp311-x86_64`.
    case found(tags: [[String]], interpreters: [Interpreter], directories: [String] = [])

    /// A CPython on PATH.
    public struct Interpreter: Sendable, Equatable {
        /// Its absolute path.
        public let path: String
        /// The 3 of 3.11.
        public let major: Int
        /// The 11 of 3.11.
        public let minor: Int

        /// Names an interpreter.
        public init(path: String, major: Int, minor: Int) {
            self.path = path
            self.major = major
            self.minor = minor
        }

        /// Whether a wheel tag such as `cp311-cp311-manylinux_2_17_x86_64` or `py3-none-any` fits (PEP 425).
        public func accepts(tag: String) -> Bool {
            let parts = tag.split(separator: "-")
            guard parts.count == 3 else { return false }
            let abis = parts[1].split(separator: ".")
            return parts[0].split(separator: ".").contains { python in
                let version = python.dropFirst(2)
                guard let wantedMajor = version.first.flatMap({ Int(String($0)) }), wantedMajor == major else {
                    return false
                }
                let wantedMinor = Int(version.dropFirst())
                switch python.prefix(2) {
                case "py": return (wantedMinor ?? 0) <= minor && abis.contains("none")
                case "cp":
                    guard let wantedMinor else { return false }
                    return abis.contains { abi in
                        if abi == "abi3" || abi == "none" { return wantedMinor <= minor }
                        return wantedMinor == minor && abi == "cp\(major)\(minor)"
                    }
                default: return false
                }
            }
        }
    }

    /// Why PYTHONPATH should not name the directory; nil when every package fits every interpreter.
    var obstacle: String? {
        switch self {
        case .absent: return "the volume's pip-packages holds no installed package"
        case .unknown(let reason): return "the volume's pip-packages could not be examined: \(reason)"
        case .found(let tags, let interpreters, _):
            if tags.isEmpty { return "the volume's pip-packages holds no installed package" }
            if interpreters.isEmpty { return "there is no python3 on PATH" }
            for interpreter in interpreters {
                for package in tags where !package.contains(where: interpreter.accepts) {
                    return "a package in the volume's pip-packages is built for \(package.first ?? "another Python"), "
                        + "but \(interpreter.path) is \(interpreter.major).\(interpreter.minor)"
                }
            }
            return nil
        }
    }

    /// Examines a directory in a child process with a deadline, because it may lie on a mount that does not answer.
    public static func examine(
        _ directory: String, path: String, probe: ProbeProgram = .current, milliseconds: Int = 3000
    ) -> PythonPackages {
        do {
            let answer = try probe.run("python-packages", [directory, path], milliseconds: milliseconds)
            if answer.timedOut { return .unknown("no answer within \(milliseconds) ms") }
            guard answer.termination == .exited(0) else { return .unknown("the probe failed") }
            return read(String(decoding: answer.output, as: UTF8.self))
        } catch {
            return .unknown(error.description)
        }
    }

    /// Reads what ``main(_:)`` wrote.
    static func read(_ text: String) -> PythonPackages {
        var tags: [[String]] = []
        var interpreters: [Interpreter] = []
        var directories: [String] = []
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: "\t").map(String.init)
            if fields.first == "package", fields.count > 1 { tags.append(Array(fields.dropFirst())) }
            if fields.first == "directory", fields.count == 2 { directories.append(fields[1]) }
            if fields.first == "python", fields.count == 4, let major = Int(fields[1]), let minor = Int(fields[2]) {
                interpreters.append(Interpreter(path: fields[3], major: major, minor: minor))
            }
        }
        return tags.isEmpty && directories.isEmpty
            ? .absent : .found(tags: tags, interpreters: interpreters, directories: directories)
    }

    /// The child's side: `python-packages DIRECTORY PATH`. Writes one line per package and per interpreter.
    public static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 2 else { return 64 }
        var lines: [String] = []
        for name in Directory.names(arguments[0]).sorted() where name.hasSuffix(".dist-info") {
            // Packages without a WHEEL file were not installed from a wheel: nothing says what they fit.
            let wheel = (try? LocalFile.readText("\(arguments[0])/\(name)/WHEEL", limit: 1 << 16)) ?? ""
            let tags = wheel.split(separator: "\n").filter { $0.hasPrefix("Tag: ") }.map { $0.dropFirst(5) }
            lines.append((["package"] + (tags.isEmpty ? ["unknown"] : tags)).joined(separator: "\t"))
        }
        for name in Directory.names(arguments[0]).sorted() where isABIDirectory(name) {
            lines.append("directory\t\(name)")
        }
        if !lines.isEmpty {
            for directory in arguments[1].split(separator: ":") where directory.hasPrefix("/") {
                let path = directory + "/python3"
                guard access(String(path), X_OK) == 0, let version = version(of: String(path), path: arguments[1])
                else { continue }
                lines.append("python\t\(version.major)\t\(version.minor)\t\(TerminalText.escape(String(path)))")
            }
        }
        StandardOutput.write(lines.map { $0 + "\n" }.joined())
        return 0
    }

    /// `cp311-x86_64` and the like for this machine.
    private static func isABIDirectory(_ name: String) -> Bool {
        guard name.hasPrefix("cp"), name.hasSuffix("-" + machine) else { return false }
        let version = name.dropFirst(2).dropLast(machine.count + 1)
        return version.count > 1 && version.allSatisfy { $0.isASCII && $0.isNumber }
    }

    /// The machine's name as wheels call it (uname(2)).
    static let machine: String = {
        var name = utsname()
        guard uname(&name) == 0 else { return "" }
        return withUnsafeBytes(of: name.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }()

    /// The directory with the packages for a Python: the one of its version, else `directory` itself when every package in it
    /// fits the version and this machine.
    func directory(for version: PythonVersion, in directory: String) -> String? {
        guard case .found(let tags, _, let directories) = self else { return nil }
        let own = "cp\(version.major)\(version.minor)-\(Self.machine)"
        if directories.contains(own) { return directory + "/" + own }
        let interpreter = Interpreter(path: "", major: version.major, minor: version.minor)
        let fits = tags.allSatisfy { package in
            package.contains { interpreter.accepts(tag: $0) && ($0.hasSuffix("-any") || $0.hasSuffix(Self.machine)) }
        }
        return fits && !tags.isEmpty ? directory : nil
    }

    private static func version(of interpreter: String, path: String) -> (major: Int, minor: Int)? {
        let home = getenv("HOME").map { String(cString: $0) } ?? "/"
        let answer = try? ChildProcess.capture(
            .init(
                executable: interpreter,
                arguments: ["-I", "-S", "-c", "import sys; print(sys.version_info[0], sys.version_info[1])"],
                environment: ["PATH": path, "HOME": home], newSession: false), limit: 100, milliseconds: 2000)
        let numbers = String(decoding: answer?.output ?? [], as: UTF8.self).split(whereSeparator: \.isWhitespace)
            .compactMap { Int($0) }
        return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }
}
