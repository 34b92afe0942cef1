import Catalog
import Environment
import Glibc
import LinuxKit
import Testing

/// The room's probes, run in a real child process: this test program started again with one test that is the child.
@Suite struct ChildSide {
    static let probe = ProbeProgram(
        executable: "/proc/self/exe",
        arguments: ["--testing-library", "swift-testing", "--filter", "EnvironmentTests.ChildSide", "--"])
    private static let arguments = CommandLine.arguments.split(separator: "--", maxSplits: 1).dropFirst().first.map(
        Array.init)

    @Test(.enabled(if: arguments != nil)) func runsOneProbe() throws {
        let arguments = try #require(Self.arguments)
        if let main = KillTests.children[arguments[0]] {
            // Killed in the middle by whoever started it.
            try main(arguments[1])
            exit(0)
        }
        let main = try #require(ProbeProgram.environmentProbes.first { $0.name == arguments.first }?.main)
        exit(main(Array(arguments.dropFirst())))
    }
}

/// A directory that is removed with its contents.
final class Scratch: Sendable {
    let path: String

    /// - Parameter parent: where to make it; `/dev/shm` for tests that change many files.
    init(in parent: String = "/tmp") throws {
        var template = Array("\(parent)/environment.XXXXXX".utf8CString)
        path = try #require(mkdtemp(&template).map { String(cString: $0) })
    }

    deinit {
        _ = try? ChildProcess.capture(
            .init(executable: "/bin/rm", arguments: ["-rf", path], environment: [:]), milliseconds: 60_000)
    }
}

/// Runs a program and returns what it writes; records an issue when it fails.
@discardableResult
func output(_ executable: String, _ arguments: [String], environment: [String: String] = [:]) throws -> [UInt8] {
    let answer = try ChildProcess.capture(
        .init(executable: executable, arguments: arguments, environment: environment, descriptors: (nil, nil, 2)),
        limit: 16 << 20,
        milliseconds: 60_000)
    #expect(answer.termination == .exited(0), "\(executable) \(arguments)")
    return answer.output
}

/// The entries of `env -0`.
func entries(_ bytes: [UInt8]) -> [String: String] {
    var result: [String: String] = [:]
    for entry in bytes.split(separator: 0) {
        let parts = String(decoding: entry, as: UTF8.self).split(
            separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { result[String(parts[0])] = String(parts[1]) }
    }
    return result
}

/// A small repeatable generator (splitmix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

let volume = EnvironmentPlan.Volume(name: "v", mountPoint: "/mnt/v")

func facts(_ container: [String: String] = [:], volume: EnvironmentPlan.Volume? = volume) -> EnvironmentPlan.Facts {
    EnvironmentPlan.Facts(
        volume: volume, container: container, isPersistent: { $0.hasPrefix("/mnt/") }, files: NoFiles())
}
