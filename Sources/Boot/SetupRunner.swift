import CLinux
public import Effects
public import Environment
import Glibc
import LinuxKit

/// Runs the volume's setup.sh once per container start, and says what became of it.
///
/// The marker is on local disk: a new pod with the same volume must set up again. Blocks its caller until the script's own
/// process ends; what the script left in the background lives on. Never throws: a failing script is a state, not an error.
public struct SetupRunner: Sendable {
    /// How a script is run.
    public struct Options: Sendable {
        /// `agent.runtime_directory`, local: `setup.json`, `setup.log`, `setup/`.
        public var runtimeDirectory = "/run/packet-agent"
        /// `setup.script`, relative to the volume.
        public var script = "setup.sh"
        /// `setup.allowed_owners`: user ids besides root and the owner of the volume's root.
        public var allowedOwners: [UInt32] = []
        /// `setup.timeout_s` in milliseconds; nil for no limit.
        public var timeoutMilliseconds: Int?
        /// Between SIGTERM and SIGKILL at the time limit.
        public var graceMilliseconds = 10_000
        /// Without output and CPU time for so long, a script is called stalled.
        public var stallMilliseconds = 180_000
        /// How often output and CPU time are looked at.
        public var pollMilliseconds = 1000
        /// How much output is kept, in bytes.
        public var logLimit = 10 << 20
        /// How long the volume may take to answer.
        public var volumeMilliseconds = 10_000
        /// How long output that was written before the end may take to reach the log.
        public var drainMilliseconds = 2000

        /// The defaults.
        public init() {}
    }

    /// The volume that holds the script.
    public struct Volume: Sendable, Equatable {
        /// Its absolute mount point.
        public var mountPoint: String
        /// The id of its mount, so that nothing else at that path is taken for it.
        public var mountID: UInt64?

        /// Names a volume.
        public init(mountPoint: String, mountID: UInt64? = nil) {
            self.mountPoint = mountPoint
            self.mountID = mountID
        }
    }

    /// How a script is run.
    public let options: Options
    private let start: ContainerStart
    private let probe: ProbeProgram
    private let clock: any Clock

    /// The log of the last run.
    public var logPath: String { options.runtimeDirectory + "/setup.log" }
    private var recordPath: String { options.runtimeDirectory + "/setup.json" }

    /// Prepares a runner for one container start.
    public init(
        options: Options, start: ContainerStart, probe: ProbeProgram = .current, clock: any Clock = SystemClock()
    ) {
        self.options = options
        self.start = start
        self.probe = probe
        self.clock = clock
    }

    /// What became of the script in this container start: `setup status`.
    ///
    /// A record that says "running" while nobody waits for the script (the agent was killed) is corrected: the script's
    /// end was not seen, so it never counts as succeeded.
    public func current() -> SetupRecord {
        guard let record = SetupRecord.load(recordPath), record.containerStart == start.key else {
            return SetupRecord(state: .absent, containerStart: start.key, reason: "setup has not run in this container")
        }
        return record.state.isRunning && lock() == nil ? record : corrected(record)
    }

    private func corrected(_ record: SetupRecord) -> SetupRecord {
        guard record.state.isRunning else { return record }
        var record = record
        if record.isAlive() {
            record.reason = "the agent was restarted while the script runs; how it ends will not be known"
        } else {
            record.state = .failed
            record.reason = "the agent ended before the script did; how it ended is not known"
        }
        return record
    }

    /// The end of the log, made safe for a terminal: `setup logs`.
    public func logTail(lines: Int = 200) -> [String] { SetupLog.tail(logPath, lines: lines) }

    /// Runs the script unless it ran in this container start.
    ///
    /// - Parameters:
    ///   - volume: nil when there is none.
    ///   - environment: PID 1's with the plan merged in (``ExecEnvironment``).
    ///   - force: runs it again.
    ///   - changed: called with each new state, on the caller's thread.
    public func run(
        volume: Volume?, environment: [String: String], force: Bool = false, changed: (SetupRecord) -> Void = { _ in }
    ) -> SetupRecord {
        do {
            try AtomicFile.createDirectory(options.runtimeDirectory)
            // A look at the status holds the lock for an instant.
            var lock = lock()
            for _ in 0..<20 where lock == nil {
                usleep(5000)
                lock = self.lock()
            }
            guard let lock else { return current() }
            defer { _ = lock.number }
            let previous = SetupRecord.load(recordPath).flatMap { $0.containerStart == start.key ? corrected($0) : nil }
            guard let volume else {
                return try finish(SetupRecord(state: .absent, containerStart: start.key, reason: "there is no volume"))
            }
            if let previous, previous.state.isRunning { return previous }
            return try run(volume, environment, previous, force: force, changed: changed)
        } catch {
            return SetupRecord(state: .failed, containerStart: start.key, reason: error.description)
        }
    }

    private func run(
        _ volume: Volume, _ environment: [String: String], _ previous: SetupRecord?, force: Bool,
        changed: (SetupRecord) -> Void
    ) throws(LinuxError) -> SetupRecord {
        let script = SetupScript.fetch(
            options.script, from: volume.mountPoint, mountID: volume.mountID, to: options.runtimeDirectory + "/setup",
            owners: options.allowedOwners, probe: probe, milliseconds: options.volumeMilliseconds)
        switch script.finding {
        case .absent: return try finish(SetupRecord(state: .absent, containerStart: start.key, reason: script.reason))
        case .refused: return try finish(SetupRecord(state: .refused, containerStart: start.key, reason: script.reason))
        case .ready: break
        }
        var record = SetupRecord(state: .running, containerStart: start.key)
        if let previous, previous.sha256 == script.sha256, !force {
            // A script whose end was not seen is tried once more; one that keeps taking the agent down is not.
            guard previous.exitCode == nil, previous.state == .failed, previous.pid != nil, previous.attempt < 2 else {
                return previous
            }
            record.attempt = previous.attempt
        }
        record.attempt += 1
        record.sha256 = script.sha256
        record.log = logPath
        record.warnings = script.warnings
        record.startedAt = Timestamp.text(milliseconds: clock.realtimeMilliseconds())
        let begin = clock.boottime()
        // Written before the start: after a crash here the script counts as started.
        record.pid = 0
        try record.save(recordPath)
        unlink(logPath)
        do {
            let (child, reader) = try launch(script, volume, environment)
            record.pid = child.pid
            record.pidStart = ProcessStat.of(child.pid)?.startTicks
            try record.save(recordPath)
            changed(record)
            let termination = wait(for: child, begin: begin, &record, changed)
            record.exitCode = termination.shellStatus
            if record.state != .timeout {
                record.state = termination == .exited(0) ? .succeeded : .failed
                record.reason = Self.reason(termination, warnings: record.warnings)
            }
            record.durationMilliseconds = (clock.boottime() - begin) / 1_000_000
            drain(reader)
        } catch {
            record.state = .failed
            record.reason = error.description
            record.pid = nil
        }
        // Known before the volume is asked again: that may take its time.
        try record.save(recordPath)
        let name =
            "setup-\(Timestamp.compact(milliseconds: clock.realtimeMilliseconds()))-\(hostName())-\(getpid()).log"
        if access(logPath, F_OK) == 0,
            let failure = SetupLog.keep(
                logPath, on: volume.mountPoint, mountID: volume.mountID, name: name, probe: probe,
                milliseconds: options.volumeMilliseconds)
        {
            record.warnings.append("the log was not copied to the volume: \(failure)")
        }
        return try finish(record)
    }

    private func finish(_ record: SetupRecord) throws(LinuxError) -> SetupRecord {
        try record.save(recordPath)
        return record
    }

    private static func reason(_ termination: ChildProcess.Termination, warnings: [String]) -> String? {
        let hint = warnings.isEmpty ? "" : " (\(warnings.joined(separator: "; ")))"
        switch termination {
        case .exited(0): return nil
        case .exited(let status): return "it ended with status \(status)\(hint)"
        case .signalled(let signal): return "signal \(signal) ended it\(hint)"
        }
    }

    /// The lock of a running setup, nil while another process has it; it is free again when its holder dies.
    private func lock() -> LockFile? { LockFile(options.runtimeDirectory + "/setup.lock") }

    private func launch(
        _ script: SetupScript, _ volume: Volume, _ environment: [String: String]
    ) throws(LinuxError) -> (script: ChildProcess, reader: ChildProcess) {
        var ends: [Int32] = [0, 0]
        let made = clinux_pipe(&ends)
        guard made == 0 else { throw LinuxError("create pipe for", logPath, code: -made) }
        let output = Descriptor(owning: ends[0])
        let input = Descriptor(owning: ends[1])
        var specification = probe.specification("setup-log", [logPath, "\(options.logLimit)"])
        specification.descriptors.input = output.number
        let reader = try ChildProcess.spawn(specification)
        var environment = environment
        environment["PATH"] = environment["PATH"] ?? PodFacts.defaultPath
        environment["HOME"] = environment["HOME"] ?? "/root"
        environment["DEBIAN_FRONTEND"] = environment["DEBIAN_FRONTEND"] ?? "noninteractive"
        let child = try ChildProcess.spawn(
            .init(
                executable: script.interpreter[0], arguments: script.interpreter.dropFirst() + [script.path],
                environment: environment,
                workingDirectory: volume.mountPoint, descriptors: (nil, input.number, input.number)))
        return (child, reader)
    }

    /// Waits for the script's own process, watching time limit and signs of life.
    private func wait(
        for child: ChildProcess, begin: UInt64, _ record: inout SetupRecord, _ changed: (SetupRecord) -> Void
    ) -> ChildProcess.Termination {
        var signs = SignsOfLife(limitNanoseconds: UInt64(options.stallMilliseconds) * 1_000_000, now: begin)
        var killAt: UInt64?
        while true {
            if let termination = child.wait(milliseconds: options.pollMilliseconds) { return termination }
            let now = clock.boottime()
            if let limit = options.timeoutMilliseconds, record.state != .timeout,
                now - begin >= UInt64(limit) * 1_000_000
            {
                child.signalGroup(SIGTERM)
                killAt = now + UInt64(options.graceMilliseconds) * 1_000_000
                record.state = .timeout
                record.reason = "it was ended after \(limit / 1000) s (setup.timeout_s)"
                changed(record)
            } else if let time = killAt, now >= time {
                child.signalGroup(SIGKILL)
                killAt = nil
            } else if record.state != .timeout {
                let stalled = signs.observe(output: logSize(), cpuTicks: Self.cpuTicks(ofSession: child.pid), now: now)
                let state: SetupRecord.State = stalled ? .stalled : .running
                guard state != record.state else { continue }
                record.state = state
                record.reason =
                    stalled
                    ? "it has neither written nor computed for \(options.stallMilliseconds / 1000) s; it still runs"
                    : nil
                try? record.save(recordPath)
                changed(record)
            }
        }
    }

    private func logSize() -> UInt64 { (try? FileStatus(logPath).size) ?? 0 }

    /// The CPU time of all processes in a session, which is the script's and that of what it started.
    private static func cpuTicks(ofSession session: Int32) -> UInt64 {
        guard let directory = opendir("/proc") else { return 0 }
        defer { closedir(directory) }
        var ticks: UInt64 = 0
        while let entry = readdir(directory) {
            let pid = withUnsafePointer(to: entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { Int32(String(cString: $0)) }
            }
            if let pid, let stat = ProcessStat.of(pid), stat.session == session { ticks &+= stat.cpuTicks }
        }
        return ticks
    }

    /// Gives the log's reader a moment; when background processes keep it, a thread reaps it at its end.
    private func drain(_ reader: ChildProcess) {
        if reader.wait(milliseconds: options.drainMilliseconds) != nil { return }
        _ = try? DedicatedThread(name: "setup-log", stackSize: 64 << 10) { _ = reader.wait() }
    }

    private func hostName() -> String {
        var name = [CChar](repeating: 0, count: 65)
        gethostname(&name, name.count - 1)
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).filter {
            $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == ".")
        }
    }
}

/// Decides from output and CPU time whether a script still does something.
struct SignsOfLife {
    private let limit: UInt64
    private var since: UInt64
    private var output: UInt64 = 0
    private var cpuTicks: UInt64 = 0

    init(limitNanoseconds: UInt64, now: UInt64) {
        limit = limitNanoseconds
        since = now
    }

    /// Takes the figures of one moment; true when neither changed for the limit.
    mutating func observe(output: UInt64, cpuTicks: UInt64, now: UInt64) -> Bool {
        if output != self.output || cpuTicks != self.cpuTicks {
            (self.output, self.cpuTicks, since) = (output, cpuTicks, now)
        }
        return now - since >= limit
    }
}

/// An exclusive flock(2), which the kernel gives back when its holder dies.
struct LockFile: ~Copyable {
    private let descriptor: Descriptor
    var number: Int32 { descriptor.number }

    init?(_ path: String) {
        guard let descriptor = try? Descriptor(opening: path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o644),
            flock(descriptor.number, LOCK_EX | LOCK_NB) == 0
        else { return nil }
        self.descriptor = descriptor
    }
}
