public import LinuxKit

/// A file with HTTP request headers, `Name: value` a line: where the credentials for a receiver are. Empty lines and those
/// that begin with `#` are left out.
public enum HeadersFile {
    /// Headers that the agent sets itself.
    private static let reserved: Set<String> = [
        "content-type", "content-length", "content-encoding", "transfer-encoding", "host", "connection",
    ]

    /// Reads the file, which must be readable by its owner only.
    ///
    /// - Throws: also when a line is no header (RFC 9110, 5.1 and 5.5); names file and line, never a value.
    public static func read(_ path: String) throws(SecretFile.Failure) -> [(String, String)] {
        let text = try SecretFile.read(path)
        var headers: [(String, String)] = []
        // "\r\n" is one Character.
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let line = trim(line)
            guard !line.isEmpty, line.first != "#" else { continue }
            let place = "\(TerminalText.escape(path)):\(index + 1)"
            guard let colon = line.firstIndex(of: ":") else {
                throw SecretFile.Failure("\(place) is not \"Name: value\"")
            }
            let name = String(line[..<colon])
            let value = String(trim(line[line.index(after: colon)...]))
            guard !name.isEmpty, name.utf8.allSatisfy(isToken), value.utf8.allSatisfy({ (0x20...0x7e).contains($0) })
            else { throw SecretFile.Failure("\(place) has characters that a header cannot have") }
            guard !reserved.contains(name.lowercased()) else {
                throw SecretFile.Failure("\(place) sets \(name.lowercased()), which the agent sets itself")
            }
            headers.append((name, value))
        }
        return headers
    }

    private static func trim(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
