/// The sections of an INI file as Python's `configparser.RawConfigParser` reads it: `=` or `:`, `#` and `;` at the start
/// of a line, indented lines continue a value, `[DEFAULT]` holds for every section.
struct INIFile {
    private(set) var sections: [String: [String: String]] = [:]

    /// - Parameter key: the parser's `optionxform`.
    init(_ text: String, key: (String) -> String = { $0.lowercased() }) {
        var section: String?
        var last: String?
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            let trimmed = trim(line)
            if trimmed.isEmpty || trimmed.hasPrefix("#") || trimmed.hasPrefix(";") { continue }
            if let section, let last, let first = line.first, first == " " || first == "\t" {
                sections[section]?[last]?.append("\n" + trimmed)
            } else if trimmed.hasPrefix("["), let close = trimmed.lastIndex(of: "]") {
                let name = String(trimmed[trimmed.index(after: trimmed.startIndex)..<close])
                section = name
                last = nil
                if sections[name] == nil { sections[name] = [:] }
            } else if let section, let separator = trimmed.firstIndex(where: { $0 == "=" || $0 == ":" }) {
                let name = key(trim(trimmed[..<separator]))
                sections[section]?[name] = trim(trimmed[trimmed.index(after: separator)...])
                last = name
            }
        }
        let defaults = sections.removeValue(forKey: "DEFAULT") ?? [:]
        for name in sections.keys { sections[name]?.merge(defaults) { own, _ in own } }
    }
}
