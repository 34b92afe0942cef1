import CLinux
import FoundationEssentials
import Glibc

/// What a command prints: text for a person on a terminal, JSON for programs.
enum Terminal {
    /// True when colours may be used: standard output is a terminal, NO_COLOR is unset or empty (no-color.org), and the
    /// terminal is not "dumb".
    static let hasColour: Bool = {
        guard isatty(STDOUT_FILENO) == 1 else { return false }
        if let value = getenv("NO_COLOR"), value.pointee != 0 { return false }
        if let term = getenv("TERM"), strcmp(term, "dumb") == 0 { return false }
        return true
    }()

    /// What points to a command or a target: a symbol for people, ASCII where standard output is no terminal.
    static let arrow = isatty(STDOUT_FILENO) == 1 ? "→" : "->"

    /// Columns of the terminal, 40 to 120; 80 where there is none.
    static let columns: Int = {
        let columns = Int(clinux_terminal_columns(STDOUT_FILENO))
        return columns > 0 ? min(max(columns, 40), 120) : 80
    }()

    static func write(_ text: String, to descriptor: Int32 = STDOUT_FILENO) {
        var bytes = Array((text + "\n").utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                return
            }
            bytes = bytes.dropFirst(count)
        }
    }

    static func writeError(_ text: String) { write(text, to: STDERR_FILENO) }

    /// Writes a document as indented JSON with sorted keys.
    static func write(json document: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        write(String(decoding: try encoder.encode(document), as: UTF8.self))
    }

    /// Rows with aligned columns; the last column is not padded.
    static func table(_ rows: [[String]]) -> String {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { index, cell in
                index == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count)
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
