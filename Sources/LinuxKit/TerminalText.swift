/// Text from users (file names, process names, script output) made safe for a terminal, a log or the journal.
public enum TerminalText {
    /// Escapes C0 and C1 controls, DEL and bidirectional overrides as `\xNN` or `\u{NNNN}`; other text stays as it is.
    public static func escape(_ text: String) -> String {
        // Most names are printable ASCII, which is quickly seen.
        if text.utf8.allSatisfy({ 0x20..<0x7f ~= $0 }) { return text }
        guard text.unicodeScalars.contains(where: isUnsafe) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            guard isUnsafe(scalar) else {
                result.unicodeScalars.append(scalar)
                continue
            }
            let hex = String(scalar.value, radix: 16)
            result += scalar.value < 0x80 ? "\\x" + (hex.count < 2 ? "0" + hex : hex) : "\\u{" + hex + "}"
        }
        return result
    }

    /// Escapes bytes that may not be UTF-8: invalid bytes appear as `\xNN`, the rest as in ``escape(_:)-(String)``.
    public static func escape(bytes: some Sequence<UInt8>) -> String {
        let bytes = Array(bytes)
        if let text = String(validating: bytes, as: UTF8.self) { return escape(text) }
        var result = ""
        var index = 0
        while index < bytes.count {
            // The longest valid sequence that starts here; UTF-8 sequences are at most four bytes (RFC 3629).
            let decoded = (1...min(4, bytes.count - index)).lazy.compactMap { length in
                String(validating: bytes[index..<index + length], as: UTF8.self).map { ($0, length) }
            }.first
            if let (text, length) = decoded {
                result += escape(text)
                index += length
            } else {
                let hex = String(bytes[index], radix: 16)
                result += "\\x" + (hex.count < 2 ? "0" + hex : hex)
                index += 1
            }
        }
        return result
    }

    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7f..<0xa0: true
        // Bidirectional controls can reorder what a person reads (Unicode UAX #9).
        case 0x061c, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069, 0x2028, 0x2029: true
        default: false
        }
    }
}
