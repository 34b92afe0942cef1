import Environment
import Glibc
import LinuxKit
import Logging
import Settings
import Storage
import Synchronization

/// Brings the environment up to date when a volume comes, goes or stops answering.
///
/// The ready flag goes at once; the rest is done by a child process (`env apply`), one at a time, because it asks volumes
/// and interpreters.
final class EnvironmentWatch: Sendable {
    private struct State {
        var seen: [String]?
        var isRunning = false
        var isWaiting = false
    }

    private static let childMilliseconds = 120_000

    private let state = Mutex(State())
    private let configuration: AgentConfiguration
    private let logger: Logger

    init(_ configuration: AgentConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Is told what volumes there are. The first time nothing is done: the boot pass puts in what it finds.
    func observe(_ volumes: [StorageReport.VolumeEntry]) {
        let seen = volumes.map { "\($0.mountPoint) \($0.state.rawValue)" }.sorted()
        let starts = state.withLock { state in
            let isNews = state.seen != nil && state.seen != seen
            state.seen = seen
            guard isNews else { return false }
            state.isWaiting = true
            guard !state.isRunning else { return false }
            state.isRunning = true
            return true
        }
        if !volumes.contains(where: { $0.state == .ready }) { try? EnvironmentApply(configuration).setReady(false) }
        guard starts else { return }
        do {
            _ = try DedicatedThread(name: "env-apply") { [self] in run() }
        } catch {
            state.withLock { $0.isRunning = false }
            logger.error("the environment was not brought up to date", metadata: ["reason": "\(error)"])
        }
    }

    private func run() {
        while state.withLock({ state in
            state.isRunning = state.isWaiting
            state.isWaiting = false
            return state.isRunning
        }) {
            do {
                let child = try ChildProcess.spawn(
                    .init(
                        executable: "/proc/self/exe", arguments: ["env", "apply"],
                        environment: ProcessEnvironment.forChildren, descriptors: (nil, nil, STDERR_FILENO)))
                let end = child.wait(milliseconds: Self.childMilliseconds)
                if end == nil { child.signalGroup(SIGKILL) }
                logger.info(
                    "the volumes changed, and the environment with them",
                    metadata: ["status": "\(end?.shellStatus ?? 255)"])
            } catch {
                logger.error("the environment was not brought up to date", metadata: ["reason": "\(error)"])
            }
        }
    }
}
