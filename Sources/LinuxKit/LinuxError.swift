import Glibc

/// A failed system call: what was done, where, and why.
public struct LinuxError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The system call or action, for example `open`.
    public let operation: String
    /// The path or object it was done to, already safe for a terminal.
    public let subject: String
    /// The error number (errno(3)).
    public let code: Int32

    /// Makes an error; the subject is escaped for terminals.
    public init(_ operation: String, _ subject: String, code: Int32) {
        self.operation = operation
        self.subject = TerminalText.escape(subject)
        self.code = code
    }

    /// The system's text for the error number.
    public var reason: String { String(cString: strerror(code)) }

    /// One line: what failed, on what, and why.
    public var description: String { "cannot \(operation) \(subject): \(reason)" }
}
