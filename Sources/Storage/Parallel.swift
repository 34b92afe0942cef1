import LinuxKit

/// Runs blocking work on threads of its own and waits for all of it.
public enum Parallel {
    /// Calls `body` with 0 to `count - 1`, each on a thread of its own; the caller's thread takes the first, and any for which
    /// no thread could be started.
    public static func run(_ count: Int, name: String, _ body: @escaping @Sendable (Int) -> Void) {
        guard count > 1 else {
            if count == 1 { body(0) }
            return
        }
        let last = count - 1
        guard let thread = try? DedicatedThread(name: name, { body(last) }) else {
            body(last)
            return run(last, name: name, body)
        }
        run(last, name: name, body)
        thread.join()
    }
}
