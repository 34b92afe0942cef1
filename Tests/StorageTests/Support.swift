import Glibc
import LinuxKit
import Testing

@testable import Storage

/// A generator with a seed, so that a failing case can be run again (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

enum Fixture {
    static func table(_ name: String, path: String = #filePath) throws -> MountTable {
        let info = MountInfo(parsing: try bytes(name, path: path))
        #expect(info.errors.isEmpty)
        return MountTable(info.mounts)
    }

    static func bytes(_ name: String, path: String = #filePath) throws -> [UInt8] {
        let directory = path.prefix(upTo: path.lastIndex(of: "/") ?? path.endIndex)
        return try LocalFile.read("\(directory)/Fixtures/\(name).mountinfo")
    }
}

/// A directory of one test, removed with everything in it.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/packet-agent-test.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw LinuxError("create", "/tmp", code: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func write(_ text: String, to name: String, mode: UInt32 = 0o644) throws -> String {
        let file = "\(path)/\(name)"
        try AtomicFile.createDirectory(String(file.prefix(upTo: file.lastIndex(of: "/") ?? file.endIndex)))
        try AtomicFile.write(Array(text.utf8), to: file, mode: mode)
        return file
    }

    deinit { _ = try? run("/bin/rm", ["-rf", path]) }
}

/// Runs a program to its end and gives its output.
@discardableResult
func run(_ executable: String, _ arguments: [String], milliseconds: Int = 120_000) throws -> (
    output: [UInt8], status: Int32
) {
    let captured = try ChildProcess.capture(
        .init(executable: executable, arguments: arguments, environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]),
        limit: 16 << 20, milliseconds: milliseconds)
    return (captured.output, captured.termination?.shellStatus ?? -1)
}

/// True when this process may make mount namespaces: tests with real mounts need it.
let mayMount: Bool = geteuid() == 0 && (try? run("/usr/bin/unshare", ["-m", "/bin/true"]).status) == 0
