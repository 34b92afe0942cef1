import LinuxKit

/// Runs something that blocks on a thread of its own, so that the cooperative pool, as narrow as the CPUs, stays free.
enum Blocking {
    /// The result of `body`, or nil when no thread could be started.
    static func run<R: Sendable>(name: String, _ body: @escaping @Sendable () -> R?) async -> R? {
        await withCheckedContinuation { continuation in
            do {
                _ = try DedicatedThread(name: name) { continuation.resume(returning: body()) }
            } catch {
                continuation.resume(returning: nil)
            }
        }
    }
}
