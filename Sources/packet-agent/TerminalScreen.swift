import CLinux
import Glibc

/// The whole terminal for a live view: the alternate screen, keys as they are pressed, and everything put back at every end.
///
/// Only one at a time. A signal that ends the process puts the terminal back first; what cannot be caught (SIGKILL) leaves
/// it to reset(1).
final class TerminalScreen {
    /// What the user did.
    enum Key { case quit, other, none, closed }

    // Read by the signal handler, which may call write(2) and tcsetattr(3) only (signal-safety(7)).
    // unsafe: written before the handlers are installed, and not changed while they are.
    nonisolated(unsafe) private static var saved = termios()
    private static let endings: [Int32] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]
    private static let enter = "\u{1b}[?1049h\u{1b}[?25l"
    // unsafe: a constant that lives as long as the process, because a handler must not allocate.
    nonisolated(unsafe) private static let leave: UnsafeBufferPointer<UInt8> = {
        let text = Array("\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l".utf8)
        let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: text.count)
        _ = memory.initialize(from: text)
        return UnsafeBufferPointer(memory)
    }()

    private var isOpen = true

    /// Takes the terminal over; nil where standard input or output is none.
    init?() {
        guard isatty(STDOUT_FILENO) == 1, tcgetattr(STDIN_FILENO, &Self.saved) == 0 else { return nil }
        _ = Self.leave.count
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { signal in
            TerminalScreen.restore()
            // SA_RESETHAND has put the default back: the process ends as the sender meant it to.
            raise(signal)
        }
        action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND)) | SA_NODEFER
        for signal in Self.endings { sigaction(signal, &action, nil) }
        var raw = Self.saved
        // Keys at once, and without echo; Ctrl-C and Ctrl-Z arrive as keys.
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN)
        guard tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) == 0 else { return nil }
        Self.write(Array(Self.enter.utf8))
    }

    deinit { close() }

    /// Puts the terminal back; more than once does nothing more.
    func close() {
        guard isOpen else { return }
        isOpen = false
        Self.restore()
        for ending in Self.endings { signal(ending, SIG_DFL) }
    }

    private static func restore() {
        _ = Glibc.write(STDOUT_FILENO, leave.baseAddress, leave.count)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved)
    }

    /// Columns and rows now; 80 by 24 where the terminal does not say.
    var size: (columns: Int, rows: Int) {
        var (columns, rows): (Int32, Int32) = (0, 0)
        guard clinux_terminal_size(STDOUT_FILENO, &columns, &rows) == 0, columns > 0, rows > 0 else { return (80, 24) }
        return (Int(columns), Int(rows))
    }

    /// Shows the lines, from the top, in one write so that nothing flickers.
    func show(_ lines: [String]) {
        let text = "\u{1b}[H" + lines.map { $0 + "\u{1b}[K" }.joined(separator: "\r\n") + "\u{1b}[J"
        Self.write(Array(text.utf8))
    }

    /// Waits at most so long for a key. Blocks: call it on a thread of its own.
    func key(milliseconds: Int32) -> Key {
        var poll = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        guard Glibc.poll(&poll, 1, milliseconds) > 0 else { return .none }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(STDIN_FILENO, &bytes, bytes.count)
        guard count > 0 else { return .closed }
        // q, Q, Ctrl-C, Ctrl-D; Escape only when it does not begin an arrow key.
        let quits: Set<UInt8> = [UInt8(ascii: "q"), UInt8(ascii: "Q"), 3, 4]
        return bytes.prefix(count).contains(where: quits.contains) || (count == 1 && bytes[0] == 27) ? .quit : .other
    }

    private static func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                return
            }
            rest = rest.dropFirst(count)
        }
    }
}
