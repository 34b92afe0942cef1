/// Quoting that keeps every byte but NUL, which no environment can hold.
public enum ShellQuoting {
    /// For POSIX shells and zsh: single quotes, inside which only the single quote itself is special (POSIX XCU 2.2.2).
    public static func posix(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var result: [UInt8] = [quote]
        for byte in bytes {
            if byte == quote { result += Array(#"'\''"#.utf8) } else { result.append(byte) }
        }
        return result + [quote]
    }

    /// For fish: printable ASCII in single quotes, every other byte as `\Xhh`, which fish takes as that byte in any locale.
    public static func fish(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var result: [UInt8] = [quote]
        for byte in bytes {
            switch byte {
            case quote, backslash: result += [backslash, byte]
            case 0x20..<0x7f: result.append(byte)
            default: result += [quote, backslash, UInt8(ascii: "X")] + hex(byte) + [quote]
            }
        }
        return result + [quote]
    }

    /// For dotenv files: plain when no reader could see anything special, else single quotes with `\'` and `\\`, as
    /// python-dotenv and docker compose read them.
    public static func dotenv(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        let bytes = Array(bytes)
        if !bytes.isEmpty, bytes.allSatisfy(isPlain) { return bytes }
        return [quote] + bytes.flatMap { $0 == quote || $0 == backslash ? [backslash, $0] : [$0] } + [quote]
    }

    /// For environment.d(5): double quotes; `\` before what they leave special, `$$` for a dollar sign.
    ///
    /// Nil for text that systemd refuses in a variable: control characters other than tab and newline, and bytes that are
    /// not UTF-8 (env-util.c, `env_value_is_valid`).
    public static func environmentD(_ bytes: some Sequence<UInt8>) -> [UInt8]? {
        let bytes = Array(bytes)
        guard String(validating: bytes, as: UTF8.self) != nil else { return nil }
        var result: [UInt8] = [UInt8(ascii: "\"")]
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""), backslash, UInt8(ascii: "`"): result += [backslash, byte]
            case UInt8(ascii: "$"): result += [backslash, byte, backslash, byte]
            case 0x09, 0x0a: result.append(byte)
            case 0..<0x20, 0x7f: return nil
            default: result.append(byte)
            }
        }
        return result + [UInt8(ascii: "\"")]
    }

    /// For a line of systemd's EnvironmentFile= and of its environment generators: double quotes, `\` before what they leave
    /// special (env-file.c, `SHELL_NEED_ESCAPE`). Nil for what ``environmentD(_:)`` refuses.
    public static func systemd(_ bytes: some Sequence<UInt8>) -> [UInt8]? {
        let bytes = Array(bytes)
        guard environmentD(bytes) != nil else { return nil }
        var result: [UInt8] = [UInt8(ascii: "\"")]
        for byte in bytes {
            if [UInt8(ascii: "\""), backslash, UInt8(ascii: "`"), UInt8(ascii: "$")].contains(byte) {
                result.append(backslash)
            }
            result.append(byte)
        }
        return result + [UInt8(ascii: "\"")]
    }

    /// For /etc/environment, which pam_env(8), shells that source it and systemd read differently: nil for every value that
    /// they could understand differently. pam_env ends a line at `#` even inside quotes and knows no escapes.
    public static func pam(_ bytes: some Sequence<UInt8>) -> [UInt8]? {
        let bytes = Array(bytes)
        guard !bytes.isEmpty, String(validating: bytes, as: UTF8.self) != nil else { return nil }
        let special = Array("\"'\\$`#!".utf8)
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f && !special.contains($0) }) else { return nil }
        return bytes.allSatisfy(isPlain) ? bytes : [UInt8(ascii: "\"")] + bytes + [UInt8(ascii: "\"")]
    }

    /// For one word of sshd_config(5) (misc.c, `argv_split`): double quotes, `\` before quotes and itself. A line break
    /// cannot be written.
    public static func sshd(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var result: [UInt8] = [UInt8(ascii: "\"")]
        for byte in bytes {
            if [UInt8(ascii: "\""), quote, backslash].contains(byte) { result.append(backslash) }
            result.append(byte)
        }
        return result + [UInt8(ascii: "\"")]
    }

    /// For Python source: a bytes literal of printable ASCII.
    public static func pythonBytes(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var result = Array("b'".utf8)
        for byte in bytes {
            switch byte {
            case quote, backslash: result += [backslash, byte]
            case 0x20..<0x7f: result.append(byte)
            default: result += [backslash, UInt8(ascii: "x")] + hex(byte)
            }
        }
        return result + [quote]
    }

    private static let quote = UInt8(ascii: "'")
    private static let backslash = UInt8(ascii: "\\")

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: ":"): true
        default: false
        }
    }

    private static func hex(_ byte: UInt8) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        return [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
}
