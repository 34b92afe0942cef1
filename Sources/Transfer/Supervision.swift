import Glibc
import LinuxKit
import Synchronization

extension TreeMove {
    /// Moves on threads of its own, which are left behind when the user stops and the volume does not answer: nothing
    /// interrupts a thread that waits for a dead server.
    ///
    /// - Parameter graceMilliseconds: how long the threads may take to notice that they were stopped.
    public func runAbandonably(graceMilliseconds: Int = 3000) throws(TransferError) -> Result {
        let outcome: Outcome
        do throws(LinuxError) {
            let made = try Outcome()
            outcome = made
            // Left to itself: it ends with the move, or with the process.
            _ = try DedicatedThread(name: "move") {
                do throws(TransferError) { made.set(.success(try run())) } catch { made.set(.failure(error)) }
            }
        } catch {
            throw TransferError(.system, error.description)
        }
        var left = graceMilliseconds
        while true {
            if let result = outcome.wait(milliseconds: 50) { return try result.get() }
            guard options.isCancelled() else { continue }
            left -= 50
            if left <= 0 {
                throw TransferError(
                    .stuck,
                    "stopped, but \(volume.mountPoint) does not answer; \(source) is where it was. Run the same command again when the volume is back"
                )
            }
        }
    }

    private final class Outcome: Sendable {
        private let result = Mutex<Swift.Result<Result, TransferError>?>(nil)
        private let doorbell: Doorbell

        init() throws(LinuxError) { doorbell = try Doorbell() }

        func set(_ value: Swift.Result<Result, TransferError>) {
            result.withLock { $0 = value }
            doorbell.ring()
        }

        func wait(milliseconds: Int) -> Swift.Result<Result, TransferError>? {
            _ = doorbell.wait(milliseconds: milliseconds, answer: false)
            return result.withLock { $0 }
        }
    }
}
