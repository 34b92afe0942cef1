import Glibc
import Synchronization

/// Ctrl-C as a question whether to go on: the first is remembered, a second one ends the program as usual.
enum Interrupt {
    private static let flag = Atomic(false)

    static var happened: Bool { flag.load(ordering: .relaxed) }

    /// - Parameter number: the signal that says so.
    static func watch(_ number: Int32 = SIGINT) {
        // Made before a signal can come: making it inside a handler could wait for itself.
        flag.store(false, ordering: .relaxed)
        signal(number) { number in
            Interrupt.flag.store(true, ordering: .relaxed)
            signal(number, SIG_DFL)
        }
    }
}

/// One line on the terminal that says how far long work is; nothing where standard error is no terminal.
final class ProgressLine: Sendable {
    private struct State {
        var shown: ContinuousClock.Instant
        var isShown = false
    }

    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let state: Mutex<State>

    init() {
        // Quick work shows nothing.
        state = Mutex(State(shown: .now + .milliseconds(300)))
    }

    /// Shows a line, at most ten times a second.
    func show(_ text: () -> String) {
        guard isTerminal else { return }
        let isDue = state.withLock { state in
            let now = ContinuousClock.now
            guard now - state.shown >= .milliseconds(100) else { return false }
            state.shown = now
            state.isShown = true
            return true
        }
        // A line that goes on in the next row could not be taken away again.
        if isDue { Self.write("\r\u{1b}[K\(text().prefix(Terminal.columns - 1))") }
    }

    func clear() {
        if state.withLock({ $0.isShown }) { Self.write("\r\u{1b}[K") }
    }

    private static func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
    }
}
