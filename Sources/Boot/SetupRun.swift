import CLinux
import Effects
import Environment
import FoundationEssentials
import Glibc
import LinuxKit

/// One run of the scripts: starts each, watches it, and ends it when the time is up.
struct SetupRun {
    let options: SetupRunner.Options
    let probe: ProbeProgram
    let clock: any Clock
    /// When the first script was started.
    let begin: UInt64

    /// Where the scripts write: a pipe whose other end a child reads into the log.
    struct Output: ~Copyable {
        fileprivate let path: String
        fileprivate let input: Descriptor
        fileprivate let reader: ChildProcess

        /// A line of our own.
        func say(_ text: String) { try? input.writeAll("[packet-agent: \(text)]\n".utf8) }

        /// Gives the log's reader a moment; when background processes keep it, a thread reaps it at its end.
        consuming func drain(milliseconds: Int) {
            let reader = reader
            try? input.closeChecked()
            if reader.wait(milliseconds: milliseconds) != nil { return }
            _ = try? DedicatedThread(name: "setup-log", stackSize: 64 << 10) { _ = reader.wait() }
        }
    }

    /// Starts the log anew.
    func openLog(_ path: String, owner: UInt32?) throws(LinuxError) -> Output {
        for file in SetupLog.files(path) { unlink(file) }
        var ends: [Int32] = [0, 0]
        let made = clinux_pipe(&ends)
        guard made == 0 else { throw LinuxError("create pipe for", path, code: -made) }
        let output = Descriptor(owning: ends[0])
        let input = Descriptor(owning: ends[1])
        var specification = probe.specification(
            "setup-log", [path, "\(options.logLimit)", owner.map { "\($0)" } ?? "-"])
        specification.descriptors.input = output.number
        return Output(path: path, input: input, reader: try ChildProcess.spawn(specification))
    }

    /// Runs one script to its end and tells each of its states.
    func perform(
        _ script: SetupScript, in directory: String, _ environment: (EnvironmentPlan.User) -> [String: String],
        _ output: borrowing Output, _ update: (SetupRecord.Script, Int32?) -> Void
    ) {
        var entry = SetupRecord.Script(script)
        if let limit = options.timeoutMilliseconds, clock.boottime() - begin >= UInt64(limit) * 1_000_000 {
            entry.state = .failed
            entry.reason =
                "it was not started: the time for all scripts was up after \(limit / 1000) s (setup.timeout_s)"
            return update(entry, nil)
        }
        let started = clock.boottime()
        do {
            let child = try launch(script, directory, environment, output)
            entry.state = .running
            update(entry, child.pid)
            let end = wait(for: child, output, &entry, update)
            entry.exitCode = end?.shellStatus
            if entry.state != .timeout {
                entry.state = end == .exited(0) ? .succeeded : .failed
                entry.reason = Self.reason(end)
            }
        } catch {
            entry.state = .failed
            entry.reason = error.description
        }
        entry.durationMilliseconds = (clock.boottime() - started) / 1_000_000
        update(entry, nil)
    }

    private func launch(
        _ script: SetupScript, _ directory: String, _ environment: (EnvironmentPlan.User) -> [String: String],
        _ output: borrowing Output
    ) throws(LinuxError) -> ChildProcess {
        // Asked here, because the child can answer with its exit status only.
        guard access(script.interpreter[0], X_OK) == 0 else {
            throw LinuxError("run", script.interpreter[0], code: errno)
        }
        let launch = SetupLaunch(user: script.user, directory: directory)
        guard let text = try? JSONEncoder().encode(launch) else {
            throw LinuxError("describe", script.name, code: EINVAL)
        }
        var specification = probe.specification(
            "setup-exec", [String(decoding: text, as: UTF8.self)] + script.interpreter + [script.path])
        specification.environment = Self.environment(for: script.user, environment)
        specification.descriptors = (nil, output.input.number, output.input.number)
        return try ChildProcess.spawn(specification)
    }

    /// What a login sets, over the environment of sessions.
    static func environment(
        for user: SetupUser?, _ base: (EnvironmentPlan.User) -> [String: String]
    ) -> [String: String] {
        let user = user ?? Accounts.local().user(geteuid())
        var environment = base(.init(uid: user.uid, home: user.home))
        environment["PATH"] = environment["PATH"] ?? PodFacts.defaultPath
        environment["DEBIAN_FRONTEND"] = environment["DEBIAN_FRONTEND"] ?? "noninteractive"
        if user.uid == 0 {
            environment["HOME"] = environment["HOME"] ?? user.home
        } else {
            // The container's are root's.
            environment["HOME"] = user.home
            environment["SHELL"] = user.shell
        }
        for name in ["USER", "LOGNAME"] { environment[name] = user.name }
        return environment
    }

    /// Waits for the script's own process, watching time limit and signs of life.
    private func wait(
        for child: ChildProcess, _ output: borrowing Output, _ entry: inout SetupRecord.Script,
        _ update: (SetupRecord.Script, Int32?) -> Void
    ) -> ChildProcess.Termination? {
        let session = SetupSession(leader: child.pid)
        var signs = SignsOfLife(
            limitNanoseconds: UInt64(options.stallMilliseconds) * 1_000_000, now: clock.boottime())
        while true {
            if let termination = child.wait(milliseconds: options.pollMilliseconds) { return termination }
            let now = clock.boottime()
            if let limit = options.timeoutMilliseconds, now - begin >= UInt64(limit) * 1_000_000 {
                entry.state = .timeout
                entry.reason = "it was ended after \(limit / 1000) s (setup.timeout_s)"
                update(entry, nil)
                return session.end(
                    child, graceMilliseconds: options.graceMilliseconds, pollMilliseconds: options.pollMilliseconds)
            }
            let stalled = signs.observe(output: Self.mark(output.path), cpuTicks: session.cpuTicks, now: now)
            let state: SetupRecord.State = stalled ? .stalled : .running
            guard state != entry.state else { continue }
            entry.state = state
            entry.reason =
                stalled
                ? "it has neither written nor computed for \(options.stallMilliseconds / 1000) s; it still runs" : nil
            update(entry, nil)
        }
    }

    private static func reason(_ termination: ChildProcess.Termination?) -> String? {
        switch termination {
        case .exited(0): nil
        case .exited(let status): "it ended with status \(status)"
        case .signalled(let signal): "signal \(signal) ended it"
        case nil: "it could not be ended"
        }
    }

    /// Changes with every byte of output, also when that is not kept.
    private static func mark(_ path: String) -> SignsOfLife.Mark? {
        (try? FileStatus(path)).map { .init(size: $0.size, inode: $0.inode, modified: $0.modified) }
    }
}

/// Decides from output and CPU time whether a script still does something.
struct SignsOfLife {
    /// The state of a log.
    struct Mark: Equatable {
        let size: UInt64
        let inode: UInt64
        let modified: FileStatus.Time
    }

    private let limit: UInt64
    private var since: UInt64
    private var output: Mark?
    private var cpuTicks: UInt64 = 0

    init(limitNanoseconds: UInt64, now: UInt64) {
        limit = limitNanoseconds
        since = now
    }

    /// Takes the figures of one moment; true when neither changed for the limit.
    mutating func observe(output: Mark?, cpuTicks: UInt64, now: UInt64) -> Bool {
        if output != self.output || cpuTicks != self.cpuTicks {
            (self.output, self.cpuTicks, since) = (output, cpuTicks, now)
        }
        return now - since >= limit
    }
}
