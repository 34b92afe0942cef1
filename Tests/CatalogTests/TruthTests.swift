import Catalog
import FoundationEssentials
import Glibc
import LinuxKit
import Testing

/// Asks real packages where they would put things, in random environments, and compares. `scripts/test-catalog-truth`
/// installs the packages and names their interpreter; each has a file in `Truth`, which `Truth/driver.py` runs.
@Suite struct TruthTests {
    /// What a package's process was given.
    struct Case: Decodable {
        var environment: [String: String]
        var workingDirectory: String
        var uid: UInt32
        var userName: String
        var home: String
        var prefix: String
        /// Files of the system, null for those that are not there.
        var files: [String: String?]
    }

    /// What it answered.
    struct Answer: Decodable {
        var paths: [String: String?]
        var refusals: [String: String]
    }

    private static let python = getenv("PACKET_CATALOG_PYTHON").map { String(cString: $0) }
    private static let sources = String(#filePath.dropLast("TruthTests.swift".count)) + "Truth"
    private static let packages = LocalFiles().names(in: sources).filter { $0.hasSuffix(".py") && $0 != "driver.py" }
    private static let count = 200
    private static let seed = 20_261_123

    @Test(.enabled(if: python != nil), arguments: packages)
    func ourAnswersAreThoseOfTheRealPackage(package: String) throws {
        let python = try #require(Self.python)
        let directory = try Self.makeDirectory()
        defer { _ = try? Self.run("/bin/rm", ["-rf", "--one-file-system", directory]) }
        try driver(python, directory, "prepare", [package, "\(Self.seed)", "\(Self.count)"])
        let cases = try JSONDecoder().decode([Case].self, from: Data(try LocalFile.read(directory + "/cases.json")))
        try #require(cases.count == Self.count)
        let passwd = try LocalFile.readText(directory + "/etc/passwd")
        // Before the package runs: it makes directories.
        let ours = cases.map { known in
            let files = CaseFiles(
                local: LocalFiles(uid: known.uid, groups: [known.uid]), uid: known.uid, directory: directory,
                system: known.files.merging(["/etc/passwd": passwd]) { $1 })
            let context = ResolutionContext(
                environment: known.environment, home: known.home, workingDirectory: known.workingDirectory,
                uid: known.uid, groups: [known.uid], userName: known.userName, pythonPrefix: known.prefix, files: files)
            return Dictionary(uniqueKeysWithValues: Catalog.tools.map { ($0.id, $0.resolve(context)) })
        }
        let lines = String(decoding: try driver(python, directory, "ask", [package]), as: UTF8.self).split(
            separator: "\n")
        try #require(lines.count == cases.count)
        let answers = try lines.map { try JSONDecoder().decode(Answer.self, from: Data($0.utf8)) }
        // A package that refuses everything agrees with a rule that refuses everything.
        let ids = Set(answers.flatMap { answer in answer.paths.compactMap { $1 == nil ? nil : $0 } })
        #expect(!ids.isEmpty && ids == Set(answers.flatMap(\.paths.keys)))
        var differences: [String] = []
        for ((known, ours), answer) in zip(zip(cases, ours), answers) {
            for id in ids {
                let own = try #require(ours[id], "no location \(id)")
                let path = answer.paths[id] ?? nil
                if own == path { continue }
                let reason = answer.refusals[id] ?? answer.refusals[""] ?? "no path"
                differences.append(
                    """
                    \(package) says \(id) is \(path ?? "nowhere (\(reason))"), the catalog says \(own ?? "nowhere") for user \
                    \(known.uid) in \(known.workingDirectory) with \(known.environment) and \(known.files)
                    """)
            }
        }
        // The first ones tell enough.
        for difference in differences.prefix(5) { Issue.record("\(difference)") }
        #expect(differences.isEmpty)
    }

    @Test(.enabled(if: python != nil)) func everyTruthFileIsFound() { #expect(Self.packages.count >= 13) }

    /// In /var/tmp: the driver hides /tmp.
    private static func makeDirectory() throws -> String {
        var template = Array("/var/tmp/catalog.XXXXXX".utf8CString)
        let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
        try #require(chmod(directory, 0o755) == 0)
        return directory
    }

    @discardableResult private func driver(
        _ python: String, _ directory: String, _ command: String, _ arguments: [String]
    ) throws -> [UInt8] {
        let prefix = String(python.dropLast("/bin/python".count))
        // The environment lies where every user can read it, whatever the directories above it permit.
        let script = """
            mkdir -p "$1/venv" && mount --bind "$2" "$1/venv" && dir=$1 && shift 2 && \
            exec "$dir/venv/bin/python" "$@" "$dir"
            """
        return try Self.run(
            "/usr/bin/unshare",
            ["--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh", directory, prefix]
                + [Self.sources + "/driver.py", command, Self.sources + "/" + (arguments.first ?? "")]
                + arguments.dropFirst())
    }

    @discardableResult private static func run(_ program: String, _ arguments: [String]) throws -> [UInt8] {
        let answer = try ChildProcess.capture(
            .init(
                executable: program, arguments: arguments,
                environment: [
                    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1",
                ],
                descriptors: (nil, nil, 2)), limit: 64 << 20, milliseconds: 300_000)
        try #require(answer.termination == .exited(0), "\(program) \(arguments)")
        return answer.output
    }
}

/// The files of one case: those below its directory are real, those of the system are as the case says, and everything
/// else is read-only.
private struct CaseFiles: FileView {
    let local: LocalFiles
    let uid: UInt32
    let directory: String
    let system: [String: String?]

    func text(of path: String) -> String? {
        if let text = system[path] { return text }
        return path.hasPrefix(directory) ? local.text(of: path) : nil
    }

    func entry(at path: String) -> FileEntry? {
        guard let text = system[path] else { return local.entry(at: path) }
        return text.map { _ in FileEntry(isDirectory: false, permissions: 0o644) }
    }

    func access(to path: String) -> FileAccess {
        if path.hasPrefix(directory) { return local.access(to: path) }
        if path == "/tmp" { return .writable }
        return path.hasPrefix("/tmp/") || entry(at: path) == nil ? .missing : .notWritable
    }

    func names(in directory: String) -> [String] { local.names(in: directory) }
}
