import LinuxKit

/// `login` in the runtime directory: what an interactive login shell shows, ready to print, at most two lines.
///
/// Each line is the time of the look (seconds since 1970), a space, and the text, so that the shell can say how old it is
/// without starting a program of ours.
public struct LoginNotice: Sendable, Equatable {
    /// A line and when it was true.
    public struct Line: Sendable, Equatable {
        /// Seconds since 1970.
        public let seconds: Int64
        /// One sentence; control characters are escaped when it is written.
        public let text: String

        /// Makes a line.
        public init(seconds: Int64, text: String) {
            self.seconds = seconds
            self.text = text
        }
    }

    /// The lines in the order of their weight; those after the second are left out.
    public var lines: [Line]

    /// Makes a notice.
    public init(_ lines: [Line]) { self.lines = lines }

    /// The file's contents; empty when there is nothing to say.
    public var contents: [UInt8] {
        lines.prefix(2).flatMap { Array("\($0.seconds) \(TerminalText.escape($0.text))\n".utf8) }
    }
}
