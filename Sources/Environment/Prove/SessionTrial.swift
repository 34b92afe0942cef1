import Glibc
import LinuxKit

/// One way to start a session, as a user or the platform does, and what its environment was.
struct SessionTrial: Sendable {
    /// What came of it.
    enum Outcome: Sendable {
        /// The entries `NAME=VALUE` that programs of the session get.
        case entries([[UInt8]])
        /// The pod has no such session, and why.
        case absent(String)
        /// It could not be started, and why.
        case failed(String)
    }

    let kind: SessionKind
    /// How a person calls it.
    let title: String
    /// Starts it; blocks for at most the trial's own deadline.
    let run: @Sendable (TrialGround) -> Outcome

    /// Every trial, in the order in which people meet them.
    static let all: [SessionTrial] = shells + servers + python
}

/// What the trials share.
struct TrialGround: Sendable {
    /// A private directory for what sessions leave.
    let directory: String
    /// The environment of a process that the runtime starts: PID 1's, and a home.
    let base: [String: String]
    /// Who starts the sessions.
    let user: EnvironmentPlan.User
    /// The container's search path.
    var path: String { base["PATH"] ?? PodFacts.defaultPath }

    /// The absolute path of a program; nil when it is not installed.
    func program(_ name: String) -> String? {
        (path + ":/usr/sbin:/sbin").split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// A file in the directory.
    func file(_ name: String) -> String { "\(directory)/\(name)" }

    /// The command by which a shell of any language writes its environment to a file.
    static func write(to file: String) -> String { "env -0 > \(file).part && mv \(file).part \(file)" }

    /// Runs a program and reads the file that it leaves.
    ///
    /// - Parameters:
    ///   - file: the name of the file in the directory.
    ///   - absentStatus: the exit status by which it says that something is not installed.
    func run(
        _ program: String, _ arguments: [String], leaving file: String, absentStatus: Int32? = nil,
        absent: String = "", milliseconds: Int = 10_000
    ) -> SessionTrial.Outcome {
        guard let executable = program.hasPrefix("/") ? program : self.program(program) else {
            return .absent("\(program) is not installed")
        }
        let captured: ChildProcess.Captured
        do throws(LinuxError) {
            captured = try ChildProcess.capture(
                .init(executable: executable, arguments: arguments, environment: base, workingDirectory: user.home),
                milliseconds: milliseconds)
        } catch {
            return .failed(error.description)
        }
        if case .exited(let status) = captured.termination, status == absentStatus { return .absent(absent) }
        if let entries = entries(file) { return .entries(entries) }
        if captured.timedOut { return .failed("no answer within \(milliseconds / 1000) s") }
        let status = captured.termination.map { "\($0.shellStatus)" } ?? "none"
        return .failed("it ended with status \(status) and ran nothing")
    }

    /// What a session wrote; nil before it did.
    func entries(_ file: String) -> [[UInt8]]? {
        (try? LocalFile.read(self.file(file), limit: 4 << 20)).map { $0.split(separator: 0).map(Array.init) }
    }

    /// Waits until a session wrote its file.
    func wait(for file: String, milliseconds: Int) -> SessionTrial.Outcome {
        let deadline = ContinuousClock.now + .milliseconds(milliseconds)
        while true {
            if let entries = entries(file) { return .entries(entries) }
            if ContinuousClock.now >= deadline { return .failed("nothing ran within \(milliseconds / 1000) s") }
            usleep(50_000)
        }
    }

    /// The ids of the processes with one of these names.
    static func processes(named names: Set<String>) -> [Int32] {
        Directory.names("/proc").compactMap { Int32($0) }.filter { pid in
            let name = (try? LocalFile.readText("/proc/\(pid)/comm", limit: 64)) ?? ""
            return names.contains(String(name.prefix { $0 != "\n" }))
        }
    }
}
