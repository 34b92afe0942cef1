import FoundationEssentials
import Glibc
public import LinuxKit

/// What became of the volume's setup.sh in this container, as `setup.json` keeps it.
public struct SetupRecord: Codable, Sendable, Equatable {
    /// The states of the contract.
    public enum State: String, Codable, Sendable {
        /// There is no script, or no volume.
        case absent
        /// There is one, but running it would be unsafe; the reason says why.
        case refused
        /// It runs.
        case running
        /// It ended with status 0.
        case succeeded
        /// It ended otherwise, or could not be started.
        case failed
        /// It was ended because it took longer than `setup.timeout_s`.
        case timeout
        /// It runs, but has neither written nor computed for some time.
        case stalled

        /// Whether the script's process is still there.
        public var isRunning: Bool { self == .running || self == .stalled }
    }

    /// One of the scripts: `setup.sh`, or one in `setup.d`.
    public struct Script: Codable, Sendable, Equatable {
        /// Its path on the volume.
        public var name: String
        /// What became of it; null while it waits for its turn.
        @Nullable public var state: State?
        /// As ``SetupRecord/exitCode``.
        @Nullable public var exitCode: Int32?
        /// One sentence for people; null when there is nothing to say.
        @Nullable public var reason: String?
        /// SHA-256 of the script, in hex; null when it was refused.
        @Nullable public var sha256: String?
        /// The user that it runs as.
        @Nullable public var user: String?
        /// How long it ran.
        @Nullable public var durationMilliseconds: UInt64?
        /// What is wrong with it without stopping it.
        public var warnings: [String] = []

        enum CodingKeys: String, CodingKey {
            case name, state, reason, sha256, user, warnings
            case exitCode = "exit_code"
            case durationMilliseconds = "duration_ms"
        }

        /// A script whose turn has not come.
        public init(name: String) { self.name = name }
    }

    /// `packet-agent/setup/1`.
    public var schema = "packet-agent/setup/1"
    /// What became of it; of several scripts the worst.
    public var state: State
    /// Exit status, 128 plus the signal number for a signal; null before the end.
    @Nullable public var exitCode: Int32?
    /// One sentence for people; null when there is nothing to say.
    @Nullable public var reason: String?
    /// The local log file; null when nothing ran.
    @Nullable public var log: String?
    /// The scripts in the order in which they run; null when there are none.
    @Nullable public var scripts: [Script]?
    /// The container start in which it ran (``ContainerStart/key``).
    public var containerStart: String
    /// Process id of the script that runs, or of the last one.
    @Nullable public var pid: Int32?
    /// Start of that process in clock ticks, which tells it from a later one with the same number.
    @Nullable public var pidStart: UInt64?
    /// When the first one was started, ISO 8601 UTC.
    @Nullable public var startedAt: String?
    /// How long they ran together.
    @Nullable public var durationMilliseconds: UInt64?
    /// What is wrong with the script without stopping it, and what happened to the log.
    public var warnings: [String] = []

    enum CodingKeys: String, CodingKey {
        case schema, state, reason, log, scripts, pid, warnings
        case exitCode = "exit_code"
        case containerStart = "container_start"
        case pidStart = "pid_start"
        case startedAt = "started_at"
        case durationMilliseconds = "duration_ms"
    }

    /// Starts a record.
    public init(state: State, containerStart: String, reason: String? = nil) {
        self.state = state
        self.containerStart = containerStart
        self.reason = reason
    }

    /// Takes the state of the scripts over: what is worst, and why.
    mutating func summarize() {
        let all = scripts ?? []
        let order: [State] = [.timeout, .failed, .refused, .succeeded]
        guard let worst = order.first(where: { state in all.contains { $0.state == state } }) else { return }
        let told = all.first { $0.state == worst }
        state = worst
        exitCode = worst == .refused ? nil : told?.exitCode
        reason = told?.reason.map { reason in
            // A refusal names its script itself.
            all.count > 1 && worst != .refused ? "\(told?.name ?? ""): \(reason)" : reason
        }
        let marked = all.flatMap { script in
            script.warnings.map { all.count > 1 ? "\(script.name): \($0)" : $0 }
        }
        warnings = marked
    }

    /// Reads what was written; nil when there is nothing or it cannot be understood.
    static func load(_ path: String) -> SetupRecord? {
        guard let bytes = try? LocalFile.read(path, limit: 1 << 20) else { return nil }
        return try? JSONDecoder().decode(SetupRecord.self, from: Data(bytes))
    }

    func save(_ path: String) throws(LinuxError) { try JSONFile.write(self, to: path) }

    /// Whether the recorded process is still alive.
    func isAlive(proc: String = "/proc") -> Bool {
        guard let pid, let found = ProcessStat.of(pid, proc: proc) else { return false }
        return !found.isZombie && (pidStart == nil || found.startTicks == pidStart)
    }
}

/// Small JSON documents on local disk.
enum JSONFile {
    static func write(_ value: some Encodable, to path: String) throws(LinuxError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let bytes = try? encoder.encode(value) else { throw LinuxError("encode", path, code: EINVAL) }
        try AtomicFile.write(Array(bytes) + [UInt8(ascii: "\n")], to: path)
    }
}

/// Wall time as a label.
enum Timestamp {
    /// ISO 8601 in UTC, to the second.
    static func text(milliseconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(milliseconds / 1000)).formatted(.iso8601)
    }

    /// The same without separators, for file names.
    static func compact(milliseconds: Int64) -> String {
        text(milliseconds: milliseconds).filter { $0 != "-" && $0 != ":" }
    }
}
