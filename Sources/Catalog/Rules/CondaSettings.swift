/// conda's configuration files (conda 26 `constants.py` SEARCH_PATH, `configuration.py`): every file that exists is read,
/// the strongest last, and lists of all of them are joined, the strongest first.
struct CondaSettings {
    private let context: ResolutionContext
    private let texts: [String]

    init(_ context: ResolutionContext) {
        self.context = context
        texts = Self.files(context).compactMap { context.files.text(of: $0) }
    }

    /// A list: the variable's entries, then those of the files.
    func list(variable: String?, separator: Character, keys: [String]) -> [String] {
        var result: [String] = []
        for text in texts {
            guard let found = Self.list(keys, in: text) else { continue }
            result = found.items + result
            // What one file declares final, stronger files and variables do not change.
            if found.isFinal { return result }
        }
        return (variable.map { $0.split(separator: separator).map(trim).filter { !$0.isEmpty } } ?? []) + result
    }

    /// `expand`: variables, then `~`, then the absolute form.
    func expand(_ path: String) -> String {
        context.absolute(context.expandUser(context.expandVariables(path)))
    }

    /// The installation: CONDA_ROOT, else two directories above CONDA_EXE (`<root>/bin/conda`), as the shell hook sets it,
    /// else the interpreter's prefix when conda installed that.
    static func root(_ context: ResolutionContext) -> String? {
        if let root = context.filled("CONDA_ROOT") { return context.absolute(root) }
        if let program = context.filled("CONDA_EXE"), program.split(separator: "/").count > 2 {
            return context.absolute(program + "/../..")
        }
        return context.exists(join(context.pythonPrefix, "condabin")) ? context.pythonPrefix : nil
    }

    private static func files(_ context: ResolutionContext) -> [String] {
        let home = context.homeDirectory
        let directories: [String?] = [
            "/etc/conda", "/var/lib/conda", root(context), context.filled("XDG_CONFIG_HOME").map { join($0, "conda") },
            join(home, ".config", "conda"), join(home, ".conda"), context.filled("CONDA_PREFIX"),
        ]
        var files: [String] = []
        for directory in directories {
            guard let directory = directory.map(context.absolute) else { continue }
            let parts = join(directory, "condarc.d")
            files += [join(directory, ".condarc"), join(directory, "condarc")]
            files += context.files.names(in: parts).filter { $0.hasSuffix(".yml") || $0.hasSuffix(".yaml") }
                .map { join(parts, $0) }
            if directory == context.absolute(join(home, ".conda")) {
                files.append(context.absolute(join(home, ".condarc")))
            }
        }
        if let own = context.filled("CONDARC") { files.append(context.absolute(context.expandUser(own))) }
        return files
    }

    /// A list at the top level of a YAML file: `key: [a, b]`, or lines `- a` below the key.
    static func list(_ keys: [String], in text: String) -> (items: [String], isFinal: Bool)? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            guard let colon = line.firstIndex(of: ":"), keys.contains(String(line[..<colon])) else { continue }
            let after = line[line.index(after: colon)...]
            let isFinal = after.contains("#!final")
            let value = withoutComment(after)
            if value.hasPrefix("[") && value.hasSuffix("]") {
                let items = value.dropFirst().dropLast().split(separator: ",").map { unquoted(trim($0)) }
                return (items.filter { !$0.isEmpty }, isFinal)
            }
            if !value.isEmpty { return ([unquoted(value)], isFinal) }
            var items: [String] = []
            for next in lines[(index + 1)...] {
                let entry = trim(next)
                if entry.isEmpty || entry.hasPrefix("#") { continue }
                guard entry.hasPrefix("- ") else { break }
                items.append(unquoted(withoutComment(entry.dropFirst(2))))
            }
            return (items, isFinal)
        }
        return nil
    }

    private static func withoutComment(_ text: Substring) -> String {
        guard let mark = text.firstRange(of: " #") else { return trim(text) }
        return trim(text[..<mark.lowerBound])
    }

    private static func unquoted(_ text: String) -> String {
        guard let first = text.first, first == "\"" || first == "'", text.count > 1, text.last == first else {
            return text
        }
        return String(text.dropFirst().dropLast())
    }
}
