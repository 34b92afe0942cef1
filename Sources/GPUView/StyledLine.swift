/// A line of text in pieces, each with a meaning that a terminal may show in colour.
public struct StyledLine: Sendable, Equatable {
    /// What a piece means.
    public enum Style: Sendable { case plain, strong, dim, good, warning, bad }

    /// The pieces, left to right.
    public private(set) var pieces: [(text: String, style: Style)] = []

    /// A line of one piece, or none.
    public init(_ text: String = "", _ style: Style = .plain) { if !text.isEmpty { pieces = [(text, style)] } }

    /// Lines are the same when they show the same.
    public static func == (a: StyledLine, b: StyledLine) -> Bool { a.terminal == b.terminal }

    /// Columns it takes: one for each character, which holds for what NVML's names and this room's signs are made of.
    public var width: Int { pieces.reduce(0) { $0 + $1.text.count } }

    /// Adds a piece.
    public mutating func add(_ text: String, _ style: Style = .plain) { pieces.append((text, style)) }

    /// Fills up with blanks to `column`.
    public mutating func pad(to column: Int) {
        let missing = column - width
        if missing > 0 { add(String(repeating: " ", count: missing)) }
    }

    /// The line cut to `columns`, with a sign that it was.
    public func cut(to columns: Int) -> StyledLine {
        guard width > columns else { return self }
        var line = StyledLine()
        var left = max(0, columns - 1)
        for piece in pieces where left > 0 {
            let text = String(piece.text.prefix(left))
            line.add(text, piece.style)
            left -= text.count
        }
        if columns > 0 { line.add("~", .dim) }
        return line
    }

    /// Without colour, and without blanks at the end.
    public var plain: String {
        let text = pieces.map(\.text).joined()
        return String(text.reversed().drop { $0 == " " }.reversed())
    }

    /// With the terminal's colours (ECMA-48 SGR).
    public var terminal: String {
        pieces.map { piece in
            switch piece.style {
            case .plain: piece.text
            case .strong: "\u{1b}[1m\(piece.text)\u{1b}[0m"
            case .dim: "\u{1b}[2m\(piece.text)\u{1b}[0m"
            case .good: "\u{1b}[32m\(piece.text)\u{1b}[0m"
            case .warning: "\u{1b}[33m\(piece.text)\u{1b}[0m"
            case .bad: "\u{1b}[31m\(piece.text)\u{1b}[0m"
            }
        }.joined()
    }
}
