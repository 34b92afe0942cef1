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
        let cells = rows.map { row in row.map(width) }
        let widths = (0..<count).map { column in cells.map { $0.count > column ? $0[column] : 0 }.max() ?? 0 }
        var text = ""
        for (row, own) in zip(rows, cells) {
            if !text.isEmpty { text += "\n" }
            for (index, cell) in row.enumerated() {
                text += cell
                if row[(index + 1)...].contains(where: { !$0.isEmpty }) {
                    text += String(repeating: " ", count: widths[index] - own[index] + 2)
                }
            }
        }
        return text
    }

    /// The characters of a text; quick for ASCII, which tables of thousands of mounts are made of.
    private static func width(_ text: String) -> Int {
        text.utf8.allSatisfy { $0 < 0x80 } ? text.utf8.count : text.count
    }
}
