public import Effects
public import Environment
import Glibc
public import LinuxKit

/// Runs the volume's setup.sh and setup.d/*.sh once per container start, and says what became of them.
///
/// The marker is on local disk: a new pod with the same volume must set up again. Blocks its caller until each script's own
/// process has ended; what they left in the background lives on. Never throws: a failing script is a state, not an error.
public struct SetupRunner: Sendable {
    /// How a script is run.
    public struct Options: Sendable {
        /// `agent.runtime_directory`, local: `setup.json`, `setup.log`, `setup/`.
        public var runtimeDirectory = "/run/packet-agent"
        /// `setup.script`, relative to the volume.
        public var script = "setup.sh"
        /// `setup.directory`, relative to the volume: its `*.sh` run after the script, in the order of their names; empty for
        /// none.
        public var directory = "setup.d"
        /// `setup.user`: `owner`, or a user's name or number.
        public var user = "owner"
        /// `setup.strict`: a directory above a script that others can write is a refusal, not a warning.
        public var isStrict = false
        /// `setup.allowed_owners`: user ids besides root and the owner of the volume's root.
        public var allowedOwners: [UInt32] = []
        /// `setup.timeout_s` in milliseconds, for all scripts together; nil for no limit.
        public var timeoutMilliseconds: Int?
        /// Between SIGTERM and SIGKILL at the time limit.
        public var graceMilliseconds = 10_000
        /// Without output and CPU time for so long, a script is called stalled.
        public var stallMilliseconds = 180_000
        /// How often output and CPU time are looked at.
        public var pollMilliseconds = 1000
        /// `setup.log_limit_mib` in bytes: the newest output is kept.
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

    /// The log of the last run; what was written before its beginning is in a second file with `.1` behind the name.
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

    /// What became of the scripts in this container start: `setup status`.
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
            return record
        }
        let reason =
            "the agent ended before the script did; how it ended is not known, and packet-agent setup run --force runs it again"
        record.scripts = record.scripts?.map { script in
            guard script.state?.isRunning == true else { return script }
            var script = script
            (script.state, script.reason) = (.failed, reason)
            return script
        }
        (record.state, record.reason) = (.failed, reason)
        return record
    }

    /// The end of the log, made safe for a terminal: `setup logs`.
    ///
    /// - Throws: ``LinuxError`` when it may not be read.
    public func logTail(lines: Int = 200) throws(LinuxError) -> [String] { try SetupLog.tail(logPath, lines: lines) }

    /// Runs the scripts that did not run in this container start.
    ///
    /// - Parameters:
    ///   - volume: nil when there is none.
    ///   - environment: PID 1's with the plan for the user merged in (``ExecEnvironment``).
    ///   - force: runs all again.
    ///   - changed: called with each new state, on the caller's thread.
    public func run(
        volume: Volume?, environment: (EnvironmentPlan.User) -> [String: String], force: Bool = false,
        changed: (SetupRecord) -> Void = { _ in }
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
            guard let volume else { return try finish(absent("there is no volume")) }
            if let previous, previous.state.isRunning { return previous }
            return try run(volume, environment, previous, force: force, changed: changed)
        } catch {
            return SetupRecord(state: .failed, containerStart: start.key, reason: error.description)
        }
    }

    private func absent(_ reason: String) -> SetupRecord {
        SetupRecord(state: .absent, containerStart: start.key, reason: reason)
    }

    private func run(
        _ volume: Volume, _ environment: (EnvironmentPlan.User) -> [String: String], _ previous: SetupRecord?,
        force: Bool, changed: (SetupRecord) -> Void
    ) throws(LinuxError) -> SetupRecord {
        let request = SetupRequest(
            mountPoint: volume.mountPoint, mountID: volume.mountID, script: options.script,
            directory: options.directory, copies: options.runtimeDirectory + "/setup", owners: options.allowedOwners,
            isStrict: options.isStrict, user: options.user)
        let scripts: [SetupScript]
        do throws(SetupRequest.Failure) {
            scripts = try request.fetch(probe, milliseconds: options.volumeMilliseconds)
        } catch {
            return try finish(SetupRecord(state: .refused, containerStart: start.key, reason: error.reason))
        }
        if scripts.isEmpty {
            return try finish(
                absent(
                    "there is no \(options.script) on the volume"
                        + (options.directory.isEmpty ? "" : ", and nothing in \(options.directory)")))
        }
        var record = SetupRecord(state: .running, containerStart: start.key)
        // Whatever became of a script, it is not run a second time: nobody knows whether it may be.
        let known = force ? [] : previous?.scripts ?? []
        record.scripts = scripts.map { script in
            // A refusal is always looked at anew.
            known.first {
                script.finding == .ready && $0.name == script.name && $0.sha256 == script.sha256 && $0.state != nil
            } ?? SetupRecord.Script(script)
        }
        let waiting = scripts.indices.filter { record.scripts?[$0].state == nil }
        if waiting.isEmpty {
            record.log = previous?.log
            record.summarize()
            if let previous, previous.scripts == record.scripts { return previous }
            return try finish(record)
        }
        try run(waiting.map { ($0, scripts[$0]) }, volume, environment, &record, changed)
        if let failure = keepLog(volume) { record.warnings.append("the log was not copied to the volume: \(failure)") }
        return try finish(record)
    }

    /// Runs scripts one after the other; one that fails does not stop the next, as boot goes on after every failed step.
    private func run(
        _ scripts: [(index: Int, script: SetupScript)], _ volume: Volume,
        _ environment: (EnvironmentPlan.User) -> [String: String], _ record: inout SetupRecord,
        _ changed: (SetupRecord) -> Void
    ) throws(LinuxError) {
        record.log = logPath
        record.startedAt = Timestamp.text(milliseconds: clock.realtimeMilliseconds())
        // Written before the start: after a crash here the script counts as started.
        record.pid = 0
        try record.save(recordPath)
        let begin = clock.boottime()
        // Who may read the log besides root: the user whose output it is.
        let users = Set(scripts.compactMap(\.script.user?.uid))
        let run = SetupRun(options: options, probe: probe, clock: clock, begin: begin)
        let output = try run.openLog(logPath, owner: geteuid() == 0 && users.count == 1 ? users.first : nil)
        for (index, script) in scripts {
            func update(_ entry: SetupRecord.Script, pid: Int32? = nil) {
                record.scripts?[index] = entry
                if let state = entry.state, state.isRunning {
                    (record.state, record.reason) = (state, entry.reason)
                    if let pid { (record.pid, record.pidStart) = (pid, ProcessStat.of(pid)?.startTicks) }
                } else if entry.state == .timeout {
                    (record.state, record.reason) = (.timeout, entry.reason)
                }
                // A full disk must not end the run; the end of it is saved again.
                try? record.save(recordPath)
                if entry.exitCode == nil { changed(record) }
            }
            if scripts.count > 1 { output.say(script.name) }
            run.perform(script, in: volume.mountPoint, environment, output, update)
        }
        record.durationMilliseconds = (clock.boottime() - begin) / 1_000_000
        record.summarize()
        // Known before the volume is asked again: that may take its time.
        try record.save(recordPath)
        output.drain(milliseconds: options.drainMilliseconds)
    }

    private func keepLog(_ volume: Volume) -> String? {
        guard SetupLog.files(logPath).contains(where: { access($0, F_OK) == 0 }) else { return nil }
        let time = Timestamp.compact(milliseconds: clock.realtimeMilliseconds())
        return SetupLog.keep(
            logPath, on: volume.mountPoint, mountID: volume.mountID,
            name: "setup-\(time)-\(hostName())-\(getpid()).log",
            probe: probe, milliseconds: options.volumeMilliseconds)
    }

    private func finish(_ record: SetupRecord) throws(LinuxError) -> SetupRecord {
        try record.save(recordPath)
        return record
    }

    /// The lock of a running setup, nil while another process has it; it is free again when its holder dies.
    private func lock() -> LockFile? { LockFile(options.runtimeDirectory + "/setup.lock") }

    private func hostName() -> String {
        var name = [CChar](repeating: 0, count: 65)
        gethostname(&name, name.count - 1)
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).filter {
            $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == ".")
        }
    }
}

extension SetupRecord.Script {
    /// What is known of a script before its turn.
    init(_ script: SetupScript) {
        self.init(name: script.name)
        sha256 = script.finding == .ready ? script.sha256 : nil
        user = script.user?.name
        warnings = script.warnings
        if script.finding == .refused { (state, reason) = (.refused, script.reason) }
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
