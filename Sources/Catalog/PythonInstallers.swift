/// pip and uv (pip 26.3 `configuration.py`, `cli/parser.py`, vendored platformdirs; uv 0.13).
enum PythonInstallers {
    static let locations = [
        ToolLocation(
            id: "pip-cache", title: "pip cache", kind: "pip-cache", placement: .direct, variables: ["PIP_CACHE_DIR"],
            volumeSubdirectory: ".packet/cache/pip", note: "wheels are downloaded and built once",
            resolve: { context in
                let configured = PipConfiguration(context)
                if configured.isCacheOff { return nil }
                if let directory = configured.cacheDirectory { return context.absolute(context.expandUser(directory)) }
                return context.absolute(join(xdgCache(context), "pip"))
            }),
        ToolLocation(
            id: "uv-cache", title: "uv cache", kind: "pip-cache", placement: .synced, variables: ["UV_CACHE_DIR"],
            note: "uv links unpacked packages from its cache into environments: both must be on one file system",
            resolve: { context in
                // An empty UV_CACHE_DIR is an error of the command line parser: uv does not run at all.
                if let directory = context.value("UV_CACHE_DIR") {
                    return directory.isEmpty ? nil : context.absolute(directory)
                }
                if isTrue(context.filled("UV_NO_CACHE")) { return nil }
                return context.absolute(join(xdgCache(context), "uv"))
            }),
    ]

    private static func isTrue(_ value: String?) -> Bool {
        ["y", "yes", "t", "true", "on", "1"].contains(value?.lowercased() ?? "")
    }

    /// The cache home of programs that follow the XDG specification: relative and empty values are ignored.
    private static func xdgCache(_ context: ResolutionContext) -> String {
        context.absoluteOnly("XDG_CACHE_HOME") ?? join(context.homeDirectory, ".cache")
    }
}

/// What pip's configuration files and variables say of its cache, for the command `install`.
///
/// Within a section the last file wins, and sections are merged only then: `[global]` of every file, `[install]` of every
/// file, variables. `no-cache-dir` beats `cache-dir` wherever it is written, even when it says `false`
/// (`cmdoptions.py`, `_handle_no_cache_dir`).
struct PipConfiguration {
    private(set) var cacheDirectory: String?
    private(set) var isCacheOff = false

    init(_ context: ResolutionContext) {
        var sections: [String: [String: String]] = [:]
        for path in Self.files(context) {
            guard let text = context.readFile(path) else { continue }
            for (section, entries) in Self.parse(text) {
                sections[section, default: [:]].merge(entries) { _, last in last }
            }
        }
        for entries in [sections["global"], sections["install"], Self.variables(context)] {
            if let directory = entries?["cache-dir"], !directory.isEmpty { cacheDirectory = directory }
            if let off = entries?["no-cache-dir"], !off.isEmpty { isCacheOff = true }
        }
    }

    /// The files in pip's order, the strongest last. The one beside an interpreter is known for a virtual environment only.
    static func files(_ context: ResolutionContext) -> [String] {
        let shared = context.filled("XDG_CONFIG_DIRS") ?? "/etc/xdg"
        var files = shared.split(separator: ":").map { join(String($0), "pip", "pip.conf") } + ["/etc/pip.conf"]
        let chosen = context.value("PIP_CONFIG_FILE")
        if chosen.flatMap({ $0.isEmpty ? nil : $0 }) == "/dev/null" { return [] }
        if chosen.map({ $0.isEmpty || context.readFile(context.absolute($0)) == nil }) ?? true {
            let home = context.homeDirectory
            files.append(join(home, ".pip", "pip.conf"))
            files.append(join(context.absoluteOnly("XDG_CONFIG_HOME") ?? join(home, ".config"), "pip", "pip.conf"))
        }
        if let prefix = context.filled("VIRTUAL_ENV") { files.append(join(prefix, "pip.conf")) }
        if let chosen, !chosen.isEmpty { files.append(context.absolute(chosen)) }
        return files
    }

    private static func variables(_ context: ResolutionContext) -> [String: String] {
        var entries: [String: String] = [:]
        for (name, value) in context.environment where name.hasPrefix("PIP_") {
            entries[key(String(name.dropFirst(4)))] = value
        }
        return entries
    }

    private static func key(_ name: String) -> String {
        let name = String(name.lowercased().map { $0 == "_" ? "-" : $0 })
        return name.hasPrefix("--") ? String(name.dropFirst(2)) : name
    }

    /// The sections of an INI file as Python's `configparser` reads it: `=` or `:`, `#` and `;` at the start of a line,
    /// indented lines continue a value.
    static func parse(_ text: String) -> [String: [String: String]] {
        var sections: [String: [String: String]] = [:]
        var section: String?
        var last: String?
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            let trimmed = trim(line)
            if trimmed.isEmpty || trimmed.hasPrefix("#") || trimmed.hasPrefix(";") { continue }
            if let section, let last, let first = line.first, first == " " || first == "\t" {
                sections[section]?[last]?.append("\n" + trimmed)
            } else if trimmed.hasPrefix("["), let close = trimmed.firstIndex(of: "]") {
                section = String(trimmed[trimmed.index(after: trimmed.startIndex)..<close])
                last = nil
                if let section { sections[section, default: [:]].merge([:]) { old, _ in old } }
            } else if let section, let separator = trimmed.firstIndex(where: { $0 == "=" || $0 == ":" }) {
                let name = key(trim(trimmed[..<separator]))
                sections[section]?[name] = trim(trimmed[trimmed.index(after: separator)...])
                last = name
            }
        }
        return sections
    }

    private static func trim(_ text: some StringProtocol) -> String {
        var text = Substring(text)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
