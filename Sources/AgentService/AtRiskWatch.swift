import AtRisk
import Catalog
import ControlPlaneAPI
import Environment
import FoundationEssentials
import Glibc
import LinuxKit
import Logging
import Settings
import Storage
import Synchronization
import Warnings

/// Notices growth where it does not survive the pod, keeps the answer for the login line and the doctor, and warns once
/// per cause.
///
/// The look itself is a child (it walks the writable layer). It may cost a thousandth of a core: after one that took
/// 0.4 s of CPU time the next comes 400 s later at the earliest. Something new in a cache directory brings the next look
/// forward to that earliest time; else it comes after five minutes.
final class AtRiskWatch: Sendable {
    private static let usualPause = 300.0
    private static let shortestPause = 15.0
    /// Half a thousandth of a core: with the probes of volumes the whole watch stays below a thousandth.
    private static let pausePerCPUSecond = 2000.0
    /// Milliseconds that a look may take.
    private static let deadline = 600_000

    private struct State {
        var board = WarningBoard()
        var totalBytes: UInt64?
        var ephemeralBytes: UInt64?
        var lookedAt: Int64 = 0
        var written: [UInt8]?
    }

    private let state = Mutex(State())
    private let configuration: AgentConfiguration
    private let paths: AgentPaths
    private let logger: Logger

    init(_ configuration: AgentConfiguration, logger: Logger) {
        self.configuration = configuration
        paths = AgentPaths(configuration)
        self.logger = logger
    }

    /// The warnings that hold.
    var warnings: [PodWarning] {
        state.withLock { $0.board.warnings }.map {
            PodWarning(cause: $0.cause, text: $0.text, since: Timestamp(milliseconds: $0.since))
        }
    }

    /// What was last found to count against the limit of ephemeral storage; nil before the first look.
    var ephemeralBytes: UInt64? { state.withLock { $0.ephemeralBytes } }

    func start() throws(LinuxError) {
        _ = try DedicatedThread(name: "at-risk-watch") { [self] in
            // What the boot pass puts back is not the user's: look when it has ended.
            while isBooting {
                writeLogin()
                sleep(2)
            }
            let notifier = GrowthNotifier()
            while true {
                let seconds = look()
                notifier?.watch(GrowthNotifier.directories(configuration))
                let earliest = max(Self.shortestPause, seconds * Self.pausePerCPUSecond)
                sleep(UInt32(earliest))
                notifier?.wait(seconds: max(0, Self.usualPause - earliest))
            }
        }
    }

    /// Takes over what the volumes say.
    func observe(_ volumes: [StorageReport.VolumeEntry]) {
        let observations = volumes.filter { $0.state != .ready }.map { volume in
            WarningBoard.Observation(
                cause: "volume:\(volume.mountPoint)", value: 1, limit: 1,
                text: "\(volume.mountPoint) is \(volume.state == .readOnly ? "read-only" : volume.state.rawValue)")
        }
        update(observations, kind: "volume:")
    }

    // MARK: Looking

    /// One look; the seconds of CPU time that it took.
    private func look() -> Double {
        let captured = try? ChildProcess.capture(
            .init(
                executable: "/proc/self/exe", arguments: ["at-risk", "--json", "--background"],
                environment: ProcessEnvironment.forChildren),
            limit: 16 << 20, milliseconds: Self.deadline)
        guard let captured, let report = try? JSONDecoder().decode(AtRiskReport.self, from: Data(captured.output))
        else {
            logger.debug("the look at what is at risk gave no answer")
            return Double(captured?.cpuMicroseconds ?? 0) / 1e6
        }
        state.withLock { state in
            state.totalBytes = report.totalBytes
            state.ephemeralBytes = report.ephemeralBytes
            state.lookedAt = Int64(time(nil))
        }
        // It names the files of every user.
        try? AtomicFile.write(captured.output, to: paths.atRisk, mode: 0o600)
        let limit = UInt64(configuration.storage.warnAtRiskMiB) << 20
        update(limit == 0 ? [] : report.groups.map { observation($0, limit) }, kind: "at-risk:")
        return Double(captured.cpuMicroseconds) / 1e6
    }

    private func observation(_ group: AtRiskReport.GroupEntry, _ limit: UInt64) -> WarningBoard.Observation {
        WarningBoard.Observation(
            cause: "at-risk:\(group.id)", value: group.bytes, limit: limit,
            text:
                "\(ByteCount.format(group.bytes)) of \(group.title) in \(group.path) would be lost with the \(group.lifetime.rawValue)"
        )
    }

    private func update(_ observations: [WarningBoard.Observation], kind: String) {
        let now = Int64(time(nil)) * 1000
        let (change, warnings) = state.withLock { state in
            (state.board.update(observations, kind: kind, now: now), state.board.warnings)
        }
        for warning in change.raised {
            logger.warning(
                "\(TerminalText.escape(warning.text))", metadata: ["cause": "\(TerminalText.escape(warning.cause))"])
        }
        for warning in change.cleared {
            logger.notice(
                "no longer: \(TerminalText.escape(warning.text))",
                metadata: ["cause": "\(TerminalText.escape(warning.cause))"])
        }
        if !change.isEmpty || !warnings.isEmpty { writeWarnings() }
        writeLogin()
    }

    // MARK: Files

    private struct Document: Encodable {
        let schema = "packet-agent/warnings/1"
        let asOf: Timestamp
        let warnings: [PodWarning]

        enum CodingKeys: String, CodingKey {
            case schema, warnings
            case asOf = "as_of"
        }
    }

    private func writeWarnings() {
        let document = Document(asOf: Timestamp(milliseconds: Int64(time(nil)) * 1000), warnings: warnings)
        if let data = try? JSONEncoder().encode(document) {
            try? AtomicFile.write(Array(data), to: paths.warnings, mode: 0o600)
        }
    }

    private var isBooting: Bool {
        ["waiting", "restoring", "setup"].contains(StatusDocument.fromFiles(paths, volumes: []).bootState)
    }

    private func writeLogin() {
        let now = Int64(time(nil))
        let isBooting = isBooting
        state.withLock { state in
            var lines: [LoginNotice.Line] = []
            if let bytes = state.totalBytes, bytes > 0 {
                lines.append(
                    .init(
                        seconds: state.lookedAt,
                        text:
                            "You would lose \(ByteCount.format(bytes)) if this pod stopped now. See: packet-agent doctor"
                    ))
            }
            if isBooting {
                lines.append(.init(seconds: now, text: "The pod is still being set up. See: packet-agent status"))
            } else if let warning = state.board.warnings.first(where: { $0.cause.hasPrefix("volume:") }) {
                lines.append(.init(seconds: now, text: warning.text))
            }
            let contents = LoginNotice(lines).contents
            guard contents != state.written else { return }
            if (try? AtomicFile.write(contents, to: paths.login)) != nil { state.written = contents }
        }
    }
}
