import Glibc
import LinuxKit
import Logging

/// The boot pass as a process of its own: it touches the volume, and nobody waits for it but a thread of its own.
enum BootChild {
    /// A pass that was killed (out of memory, or by a script that ends its parents) is started again so often; scripts that
    /// it started do not run a second time.
    private static let mostStarts = 3

    /// Starts it; what goes wrong is in the log, and the agent goes on without it.
    static func start(_ logger: Logger) {
        do {
            _ = try DedicatedThread(name: "boot-pass") {
                for attempt in 1...mostStarts {
                    guard let end = run(logger) else { return }
                    logger.info("the boot pass ended", metadata: ["status": "\(end.shellStatus)"])
                    guard case .signalled = end, attempt < mostStarts else { return }
                    sleep(1)
                }
            }
        } catch {
            logger.error("the boot pass could not be started", metadata: ["reason": "\(error)"])
        }
    }

    private static func run(_ logger: Logger) -> ChildProcess.Termination? {
        do {
            return try ChildProcess.spawn(
                .init(
                    executable: "/proc/self/exe", arguments: ["boot"], environment: ProcessEnvironment.forChildren,
                    descriptors: (nil, STDERR_FILENO, STDERR_FILENO))
            ).wait()
        } catch {
            logger.error("the boot pass could not be started", metadata: ["reason": "\(error)"])
            return nil
        }
    }
}
