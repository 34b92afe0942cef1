extension EnvironmentLayer {
    /// `cache-dir` in `/etc/pip.conf`, for pip that is started without any session. Users' own files and variables are
    /// stronger (pip `configuration.py`); a value in the site's files stays.
    static let pipConfiguration = EnvironmentLayer(id: "pip.conf", reaches: [.pip], nature: .whileReady) { context in
        guard let variable = context.plan.variables.first(where: { $0.name == "PIP_CACHE_DIR" }) else {
            return LayerWish()
        }
        guard !context.plan.pythons.isEmpty || context.exists("/etc/pip.conf") else {
            return .absent("there is no Python")
        }
        let subject = "cache-dir in /etc/pip.conf"
        // pip decodes the file as the locale says, so that other bytes could break it; values end at the line.
        guard variable.value.utf8.allSatisfy({ 0x20..<0x7f ~= $0 }), variable.value.last != " " else {
            return LayerWish(left: [LeftAlone(subject, "only printable ASCII is read the same in every locale")])
        }
        for file in ["/etc/pip.conf", "/etc/xdg/pip/pip.conf"]
        where ConfigurationText(LocalText.othersBytes(context.read(file))).hasKey("cache-dir", in: "global") {
            return LayerWish(left: [LeftAlone(subject, "\(file) sets cache-dir itself")])
        }
        let line = "cache-dir = \(variable.value)\n"
        let header = ConfigurationText(LocalText.othersBytes(context.read("/etc/pip.conf"))).end(ofHeader: "global")
        // A second [global] would be an error: ours goes under the one that is there.
        let content: FileEdit.Content =
            header.map { .block(Array(line.utf8), at: .offset($0)) }
            ?? .block(Array("[global]\n\(line)".utf8), at: .last)
        return LayerWish(edits: [FileEdit(context.path("/etc/pip.conf"), in: context.etc, content)])
    }
}

/// A file in the language of Python's configparser.
struct ConfigurationText {
    private let contents: [UInt8]

    init(_ contents: [UInt8]) { self.contents = contents }

    /// The byte after the line `[section]`; nil when there is none.
    func end(ofHeader section: String) -> Int? {
        lines.first { Self.header($0.text) == section }?.end
    }

    /// Whether the section has the key, whatever its spelling (pip takes `_` for `-`, and leading dashes).
    func hasKey(_ key: String, in section: String) -> Bool {
        var current: String?
        for line in lines {
            if let header = Self.header(line.text) { current = header }
            // A line that is indented goes on with the value above it.
            guard current == section, line.text.first?.isWhitespace == false,
                let end = line.text.firstIndex(where: { $0 == "=" || $0 == ":" })
            else { continue }
            let name = line.text[..<end].trimmingBlanks().lowercased().replacing("_", with: "-")
            if name.drop(while: { $0 == "-" }) == key { return true }
        }
        return false
    }

    private var lines: [(text: Substring, end: Int)] {
        var lines: [(text: Substring, end: Int)] = []
        var start = 0
        while start < contents.count {
            let end = contents[start...].firstIndex(of: 0x0a) ?? contents.count
            lines.append(
                (Substring(String(decoding: contents[start..<end], as: UTF8.self)), min(end + 1, contents.count)))
            start = end + 1
        }
        return lines
    }

    private static func header(_ line: Substring) -> String? {
        guard line.first == "[", let end = line.lastIndex(of: "]") else { return nil }
        return String(line[line.index(after: line.startIndex)..<end])
    }
}

extension Substring {
    fileprivate func trimmingBlanks() -> String {
        var text = self
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
