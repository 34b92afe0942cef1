import Boot
import Environment
import Glibc
import LinuxKit
import Testing

/// The rooms' probes, run in a real child process: this test program started again with one test that is the child.
@Suite struct BootChildSide {
    /// What the test program itself prints must not come into the output of what it becomes: that waits at 3 and 4.
    static let probe = ProbeProgram(
        executable: "/bin/sh",
        arguments: ["-c", "exec 3>&1 4>&2 >/dev/null 2>&1; exec \"$0\" \"$@\"", program] + [
            "--testing-library", "swift-testing", "--filter", "BootTests.BootChildSide", "--",
        ])
    private static let program =
        realpath("/proc/self/exe", nil).map { path in
            defer { free(path) }
            return String(cString: path)
        } ?? "/proc/self/exe"
    private static let arguments = CommandLine.arguments.split(separator: "--", maxSplits: 1).dropFirst().first
        .map(Array.init)

    @Test(.enabled(if: arguments != nil)) func runsOneProbe() throws {
        let arguments = try #require(Self.arguments)
        for number in [Int32(1), 2] {
            dup2(number + 2, number)
            close(number + 2)
        }
        if arguments.first == "host" {
            // A whole runner, to be killed in the middle.
            exit(SetupPod(path: arguments[1]).run().state == .succeeded ? 0 : 1)
        }
        let probes = ProbeProgram.environmentProbes + ProbeProgram.bootProbes
        let main = try #require(probes.first { $0.name == arguments.first }?.main)
        exit(main(Array(arguments.dropFirst())))
    }
}

/// A directory that is removed with its contents.
final class Scratch: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/boot.XXXXXX".utf8CString)
        path = try #require(mkdtemp(&template).map { String(cString: $0) })
        // Scripts of other users run below it.
        chmod(path, 0o755)
    }

    deinit {
        _ = try? ChildProcess.capture(
            .init(executable: "/bin/rm", arguments: ["-rf", path], environment: [:]), milliseconds: 10_000)
    }
}

/// A volume and a runtime directory.
struct SetupPod {
    let path: String
    var options: SetupRunner.Options
    var start = "boot:1"

    init(path: String) {
        self.path = path
        options = SetupRunner.Options()
        options.runtimeDirectory = path + "/run"
        options.pollMilliseconds = 20
        // Generous, because a loaded machine starts children slowly; nothing waits for these when all is well.
        options.volumeMilliseconds = 60_000
        options.drainMilliseconds = 20_000
        mkdir(path + "/volume", 0o755)
    }

    var volume: String { path + "/volume" }

    var runner: SetupRunner {
        SetupRunner(options: options, start: ContainerStart(key: start), probe: BootChildSide.probe)
    }

    func script(_ text: String, mode: UInt32 = 0o755) throws {
        try AtomicFile.write(text.utf8, to: volume + "/setup.sh")
        chmod(volume + "/setup.sh", mode)
    }

    @discardableResult
    func run(
        force: Bool = false, environment: [String: String] = [:], changed: (SetupRecord) -> Void = { _ in }
    ) -> SetupRecord {
        runner.run(
            volume: .init(mountPoint: volume), environment: { _ in environment }, force: force, changed: changed)
    }

    var log: String { (try? LocalFile.readText(runner.logPath)) ?? "" }

    func exists(_ name: String) -> Bool { access(volume + "/" + name, F_OK) == 0 }

    func text(_ name: String) throws -> String { try LocalFile.readText(volume + "/" + name) }

    /// The number that a script wrote into a file of the volume.
    func number(_ name: String) throws -> Int32 { try #require(Int32(text(name).filter(\.isNumber))) }

    /// Waits until a file holds something; false after a minute.
    func await(_ name: String) -> Bool {
        for _ in 0..<6000 {
            if (try? text(name))?.isEmpty == false { return true }
            usleep(10_000)
        }
        return false
    }
}

/// Whether a process is gone, or dead and only not yet looked at by its parent.
func isDead(_ pid: Int32) -> Bool {
    guard let stat = try? LocalFile.readText("/proc/\(pid)/stat") else { return true }
    return stat.contains(") Z") || stat.contains(") X")
}
