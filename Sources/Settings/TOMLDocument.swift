/// A TOML 1.0 document (toml.io/en/v1.0.0) read into values that remember where they stand.
///
/// The available TOML package aborts the process on some malformed keys and does not tell where a value stands; a
/// configuration reader may do neither (see the decision on reading TOML).
struct TOMLDocument {
    /// A place in the text, from 1. Columns count Unicode scalars.
    struct Place: Equatable, Comparable {
        var line: Int
        var column: Int

        static func < (left: Place, right: Place) -> Bool { (left.line, left.column) < (right.line, right.column) }
    }

    /// A value; dates and floating-point numbers are kept as text, no key of ours has them.
    indirect enum Value: Equatable {
        case string(String)
        case integer(Int)
        case boolean(Bool)
        case array([Value])
        case table
        case other(String)
    }

    /// One `key = value`, or a table header (value `.table`), with its full path.
    struct Entry: Equatable {
        var path: [String]
        var value: Value
        var place: Place
    }

    struct SyntaxError: Error, Equatable {
        var place: Place
        var message: String
    }

    /// Keys in the order of the text.
    private(set) var entries: [Entry] = []

    /// - Parameter allowsTableArrays: takes `[[name]]` too; the last of the tables counts.
    init(_ text: String, allowsTableArrays: Bool = false) throws(SyntaxError) {
        var reader = TOMLReader(text)
        var section: [String] = []
        var seen: Set<[String]> = []
        while try reader.skipToContent() {
            let place = reader.place
            if reader.take("[") {
                let isArray = reader.take("[")
                guard !isArray || allowsTableArrays else {
                    throw SyntaxError(place: place, message: "arrays of tables are not used here")
                }
                section = try reader.keyPath()
                try reader.expect("]", "to close the table's name")
                if isArray {
                    try reader.expect("]", "to close the table's name")
                    // A new table: what the one before held may come again.
                    seen = seen.filter { !$0.starts(with: section) }
                }
                guard seen.insert(section).inserted else {
                    throw SyntaxError(
                        place: place, message: "table [\(section.joined(separator: "."))] is defined twice")
                }
                entries.append(
                    Entry(path: section, value: .table, place: Place(line: place.line, column: place.column + 1)))
            } else {
                let path = section + (try reader.keyPath())
                try reader.expect("=", "after the key")
                try add(path, at: place, from: &reader, &seen)
            }
            try reader.endOfLine()
        }
    }

    private mutating func add(
        _ path: [String], at place: Place, from reader: inout TOMLReader, _ seen: inout Set<[String]>
    ) throws(SyntaxError) {
        guard seen.insert(path).inserted else {
            throw SyntaxError(place: place, message: "key \"\(path.joined(separator: "."))\" is defined twice")
        }
        var nested: [Entry] = []
        let value = try reader.value(prefix: path, nested: &nested)
        entries.append(Entry(path: path, value: value, place: place))
        entries += nested
    }
}

/// Reads the pieces of a TOML text.
struct TOMLReader {
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private(set) var place = TOMLDocument.Place(line: 1, column: 1)
    private var depth = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func advance() {
        if next == "\n" {
            place.line += 1
            place.column = 1
        } else {
            place.column += 1
        }
        position += 1
    }

    mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        advance()
        return true
    }

    private mutating func take(_ word: String) -> Bool {
        let wanted = Array(word.unicodeScalars)
        guard scalars[position...].starts(with: wanted) else { return false }
        for _ in wanted { advance() }
        return true
    }

    private func failure(_ message: String) -> TOMLDocument.SyntaxError { .init(place: place, message: message) }

    private mutating func skipSpace() { while next == " " || next == "\t" { advance() } }

    private mutating func skipComment() throws(TOMLDocument.SyntaxError) {
        guard next == "#" else { return }
        while let scalar = next, scalar != "\n" {
            if scalar.value < 0x20 && scalar != "\t" && scalar != "\r" || scalar.value == 0x7f {
                throw failure("a control character is not allowed in a comment")
            }
            advance()
        }
    }

    /// Skips blank lines and comments; false at the end of the text.
    mutating func skipToContent() throws(TOMLDocument.SyntaxError) -> Bool {
        while true {
            skipSpace()
            try skipComment()
            if next == nil { return false }
            guard next == "\n" || next == "\r" else { return true }
            advance()
        }
    }

    mutating func expect(_ scalar: Unicode.Scalar, _ purpose: String) throws(TOMLDocument.SyntaxError) {
        skipSpace()
        guard take(scalar) else { throw failure("expected \"\(scalar)\" \(purpose)") }
        skipSpace()
    }

    mutating func endOfLine() throws(TOMLDocument.SyntaxError) {
        skipSpace()
        try skipComment()
        _ = take("\r")
        guard next == nil || take("\n") else { throw failure("expected the end of the line") }
    }

    mutating func keyPath() throws(TOMLDocument.SyntaxError) -> [String] {
        var path: [String] = []
        repeat {
            skipSpace()
            path.append(try key())
            skipSpace()
        } while take(".")
        return path
    }

    private mutating func key() throws(TOMLDocument.SyntaxError) -> String {
        if next == "\"" || next == "'" { return try string(multiline: false) }
        var name = ""
        while let scalar = next, Self.isBare(scalar) {
            name.unicodeScalars.append(scalar)
            advance()
        }
        guard !name.isEmpty else { throw failure("expected a key") }
        return name
    }

    private static func isBare(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_", "-": true
        default: false
        }
    }

    mutating func value(
        prefix: [String], nested: inout [TOMLDocument.Entry]
    ) throws(TOMLDocument.SyntaxError) -> TOMLDocument.Value {
        switch next {
        case "\"", "'": return .string(try string(multiline: true))
        case "[": return try array()
        case "{": return try inlineTable(prefix: prefix, nested: &nested)
        default: return try plain()
        }
    }

    private mutating func nest() throws(TOMLDocument.SyntaxError) {
        depth += 1
        guard depth <= 16 else { throw failure("values are nested deeper than 16 levels") }
    }

    private mutating func array() throws(TOMLDocument.SyntaxError) -> TOMLDocument.Value {
        try nest()
        defer { depth -= 1 }
        advance()
        var values: [TOMLDocument.Value] = []
        while try skipToContent() {
            if take("]") { return .array(values) }
            var ignored: [TOMLDocument.Entry] = []
            values.append(try value(prefix: [], nested: &ignored))
            guard try skipToContent() else { break }
            if !take(","), next != "]" { throw failure("expected \",\" or \"]\" in the array") }
        }
        throw failure("the array is not closed")
    }

    private mutating func inlineTable(
        prefix: [String], nested: inout [TOMLDocument.Entry]
    ) throws(TOMLDocument.SyntaxError) -> TOMLDocument.Value {
        try nest()
        defer { depth -= 1 }
        advance()
        skipSpace()
        if take("}") { return .table }
        repeat {
            skipSpace()
            let start = place
            let path = prefix + (try keyPath())
            try expect("=", "after the key")
            let value = try value(prefix: path, nested: &nested)
            nested.append(.init(path: path, value: value, place: start))
            skipSpace()
        } while take(",")
        try expect("}", "to close the inline table")
        return .table
    }

    private mutating func plain() throws(TOMLDocument.SyntaxError) -> TOMLDocument.Value {
        let start = place
        var word = ""
        while let scalar = next, Self.isBare(scalar) || "+.:".unicodeScalars.contains(scalar) {
            word.unicodeScalars.append(scalar)
            advance()
        }
        switch word {
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        case "": throw failure("expected a value")
        default: break
        }
        if let number = Self.integer(word) { return .integer(number) }
        guard let first = word.unicodeScalars.first, "+-0123456789".unicodeScalars.contains(first) else {
            throw .init(place: start, message: "\"\(word)\" is not a value; write text in quotes")
        }
        return .other(word)
    }

    private static func integer(_ word: String) -> Int? {
        let digits = word.filter { $0 != "_" }
        guard !word.hasPrefix("_"), !word.hasSuffix("_"), !word.contains("__") else { return nil }
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where digits.hasPrefix(prefix) {
            return Int(digits.dropFirst(2), radix: radix)
        }
        let magnitude = digits.drop { $0 == "+" || $0 == "-" }
        return magnitude.count > 1 && magnitude.hasPrefix("0") ? nil : Int(digits)
    }

    private mutating func string(multiline: Bool) throws(TOMLDocument.SyntaxError) -> String {
        let start = place
        for quote in ["\"", "'"] as [Unicode.Scalar] {
            let triple = String(repeating: String(quote), count: 3)
            if multiline, take(triple) {
                _ = take("\r")
                _ = take("\n")
                return try body(until: triple, escapes: quote == "\"", start: start)
            }
            if next == quote {
                advance()
                return try body(until: String(quote), escapes: quote == "\"", start: start)
            }
        }
        throw failure("expected a string")
    }

    private mutating func body(
        until end: String, escapes: Bool, start: TOMLDocument.Place
    ) throws(TOMLDocument.SyntaxError) -> String {
        var text = ""
        while let scalar = next {
            if take(end) { return text }
            if scalar == "\n" && end.count == 1 { break }
            if scalar.value < 0x20 && !(scalar == "\t" || end.count == 3 && (scalar == "\n" || scalar == "\r")) {
                throw failure("a control character must be written as an escape")
            }
            advance()
            if scalar == "\\" && escapes { try escape(into: &text) } else { text.unicodeScalars.append(scalar) }
        }
        throw .init(place: start, message: "the string is not closed")
    }

    private mutating func escape(into text: inout String) throws(TOMLDocument.SyntaxError) {
        guard let scalar = next else { return }
        let simple: [Unicode.Scalar: Unicode.Scalar] = [
            "b": "\u{8}", "t": "\t", "n": "\n", "f": "\u{c}", "r": "\r", "\"": "\"", "\\": "\\",
        ]
        if let replacement = simple[scalar] {
            advance()
            text.unicodeScalars.append(replacement)
        } else if scalar == "u" || scalar == "U" {
            let count = scalar == "u" ? 4 : 8
            let digits = String(String.UnicodeScalarView(scalars[position...].dropFirst().prefix(count)))
            guard digits.unicodeScalars.count == count, let code = UInt32(digits, radix: 16),
                let decoded = Unicode.Scalar(code)
            else { throw failure("\\\(scalar) needs \(count) hexadecimal digits of a character") }
            for _ in 0...count { advance() }
            text.unicodeScalars.append(decoded)
        } else if scalar == "\n" || scalar == "\r" || scalar == " " || scalar == "\t" {
            while let space = next, " \t\r\n".unicodeScalars.contains(space) { advance() }
        } else {
            throw failure("unknown escape \\\(TOMLReader.shown(scalar))")
        }
    }

    private static func shown(_ scalar: Unicode.Scalar) -> String {
        scalar.value < 0x20 || scalar.value == 0x7f ? "character \(scalar.value)" : String(scalar)
    }
}
