extension EnvironmentLayer {
    /// One `SetEnv` line for sshd: the only place that reaches every ssh session, with or without PAM and dotfiles.
    ///
    /// Only the first SetEnv directive counts (servconf.c), so ours carries the values of the one that counted before, which
    /// win. It goes into a drop-in where that is read first, else to the top of sshd_config.
    static let sshServer = EnvironmentLayer(
        id: "sshd", reaches: [.sshCommand, .sshTerminal], nature: .whileReady, reader: .sshServer
    ) { context in
        guard context.exists("/etc/ssh/sshd_config") else { return .absent("sshd is not installed") }
        let dropIn = context.path("/etc/ssh/sshd_config.d/00-packet-agent.conf")
        let configuration = SSHServerConfiguration.read(
            context.path("/etc/ssh/sshd_config"), root: context.places.root, dropIn: dropIn)
        var wish = LayerWish()
        var pairs = configuration.environment
        let others = pairs.count
        for variable in context.plan.variables {
            let subject = "\(variable.name) in sshd's SetEnv"
            if pairs.contains(where: { $0.starts(with: variable.name.utf8 + [UInt8(ascii: "=")]) }) {
                wish.left.append(LeftAlone(subject, "sshd's configuration sets it itself"))
            } else if variable.value.utf8.contains(where: { $0 == 0x0a || $0 == 0x0d }) {
                wish.left.append(LeftAlone(subject, "sshd reads no value with a line break"))
            } else {
                pairs.append(Array((variable.name + "=" + variable.value).utf8))
            }
        }
        guard pairs.count > others else { return wish }
        var body = Array("# The values of the SetEnv that counted before are in it: only the first one counts.\n".utf8)
        if others == 0 { body = [] }
        body += Array("SetEnv".utf8)
        for pair in pairs { body += [UInt8(ascii: " ")] + ShellQuoting.sshd(pair) }
        body.append(UInt8(ascii: "\n"))
        wish.edits = [
            configuration.isDropInFirst
                ? FileEdit(dropIn, in: context.etc, .block(body, at: .first))
                : FileEdit(context.path("/etc/ssh/sshd_config"), in: context.etc, .block(body, at: .first))
        ]
        return wish
    }
}

/// What sshd's configuration says about the environment without our part.
struct SSHServerConfiguration: Equatable {
    /// `NAME=VALUE` of the SetEnv directive that counts, outside Match blocks.
    var environment: [[UInt8]] = []
    /// Whether our drop-in would be read, and before every other SetEnv.
    var isDropInFirst = false

    private var hasSetEnv = false
    private var dropIn = ""
    private var root = ""

    /// Reads the configuration file and what it includes.
    static func read(_ path: String, root: String, dropIn: String) -> SSHServerConfiguration {
        var configuration = SSHServerConfiguration()
        configuration.dropIn = dropIn
        configuration.root = root
        var isMatching = false
        configuration.read(path, depth: 0, &isMatching)
        return configuration
    }

    /// - Parameter isMatching: inside a Match block, which ends with its file or the next one.
    private mutating func read(_ path: String, depth: Int, _ isMatching: inout Bool) {
        // SERVCONF_MAX_DEPTH of servconf.c.
        guard depth < 16, let contents = LocalText.read(path) else { return }
        for line in LocalText.othersBytes(contents).split(separator: 0x0a) {
            var words = Self.words(Array(line))
            guard !words.isEmpty else { continue }
            let keyword = String(decoding: words.removeFirst(), as: UTF8.self).lowercased()
            switch keyword {
            case "match": isMatching = true
            case "setenv" where !isMatching && !hasSetEnv:
                environment = words
                hasSetEnv = true
            case "include":
                for pattern in words {
                    for file in files(String(decoding: pattern, as: UTF8.self)) {
                        if file == dropIn && !isMatching && !hasSetEnv { isDropInFirst = true }
                        var inner = isMatching
                        read(file, depth: depth + 1, &inner)
                    }
                }
            default: continue
            }
        }
    }

    /// The files of an Include pattern, ours among them whether it exists or not, in the order of glob(3).
    private func files(_ pattern: String) -> [String] {
        var pattern = pattern.hasPrefix("/") ? pattern : "/etc/ssh/" + pattern
        if !root.isEmpty && !pattern.hasPrefix(root + "/") { pattern = root + pattern }
        guard let slash = pattern.lastIndex(of: "/") else { return [] }
        let (directory, name) = (String(pattern[..<slash]), String(pattern[pattern.index(after: slash)...]))
        if !name.contains(where: { "*?[".contains($0) }) { return [pattern] }
        var names = Directory.names(directory)
        let parts = dropIn.split(separator: "/")
        if let own = parts.last, dropIn == directory + "/" + own, !names.contains(String(own)) {
            names.append(String(own))
        }
        // glob(3) sorts as the locale does; sshd runs in C.
        return names.filter { FileNamePattern.matches($0, name) }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            .map { directory + "/" + $0 }
    }

    /// The words of a line as sshd cuts them (misc.c, `argv_split` and `strdelim`): quotes group, `\` escapes quotes and
    /// itself, `#` at the start of a word ends the line, and one `=` may stand after the keyword.
    static func words(_ line: [UInt8]) -> [[UInt8]] {
        var words: [[UInt8]] = []
        var index = line.startIndex
        let blank: Set<UInt8> = [0x20, 0x09, 0x0d, 0x0c]
        while index < line.endIndex {
            let byte = line[index]
            if blank.contains(byte) || (words.count == 1 && byte == UInt8(ascii: "=")) {
                index += 1
                continue
            }
            if byte == UInt8(ascii: "#") { break }
            var word: [UInt8] = []
            var quote: UInt8 = 0
            while index < line.endIndex {
                let byte = line[index]
                let next = index + 1 < line.endIndex ? line[index + 1] : 0
                if byte == UInt8(ascii: "\\"),
                    [UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "\\")].contains(next)
                        || (quote == 0 && next == 0x20)
                {
                    word.append(next)
                    index += 1
                } else if quote == 0 && (blank.contains(byte) || (words.isEmpty && byte == UInt8(ascii: "="))) {
                    break
                } else if quote == 0 && (byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'")) {
                    quote = byte
                } else if quote != 0 && byte == quote {
                    quote = 0
                } else {
                    word.append(byte)
                }
                index += 1
            }
            words.append(word)
        }
        return words
    }
}
