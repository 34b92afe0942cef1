/// pip (26.3 `configuration.py`, `cli/parser.py`, `cli/base_command.py`, `utils/filesystem.py`).
enum Pip {
    static let locations = [
        ToolLocation(
            id: "pip-cache", title: "pip cache", kind: "pip-cache", placement: .direct, variables: ["PIP_CACHE_DIR"],
            volumeSubdirectory: ".packet/cache/pip", note: "wheels are downloaded and built once",
            resolve: { context in
                let configured = PipConfiguration(context)
                if configured.isCacheOff { return nil }
                let standard = PlatformDirectories(context, isVendoredByPip: true).cache("pip")
                let cache = context.absolute(context.expandUser(configured.cacheDirectory ?? standard))
                return owns(cache, context) ? cache : nil
            }),
        ToolLocation(
            id: "pip-configuration", title: "pip settings", kind: "dotfile", placement: .local,
            variables: ["PIP_CONFIG_FILE"], isLeftUnset: true, note: "a file that it names replaces the user's own",
            // `pip config set` writes to the strongest file of the user.
            resolve: { context in
                let chosen = context.filled("PIP_CONFIG_FILE")
                if chosen == "/dev/null" { return nil }
                if let chosen, context.exists(chosen) { return context.absolute(chosen) }
                return context.absolute(PipConfiguration.userFile(context))
            }),
    ]

    /// `check_path_owner`: without it pip switches its cache off. For root the nearest directory must belong to root, which
    /// an NFS server with root_squash makes impossible.
    private static func owns(_ cache: String, _ context: ResolutionContext) -> Bool {
        var path = cache
        while true {
            if let entry = context.files.entry(at: path) {
                return context.uid == 0 ? entry.uid == 0 : context.isWritable(path)
            }
            if path == "/" || context.files.access(to: path) == .unknown { return true }
            path = context.absolute(path + "/..")
        }
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
            guard let text = context.files.text(of: context.absolute(path)) else { continue }
            for (section, entries) in INIFile(text, key: Self.key).sections {
                sections[section, default: [:]].merge(entries) { _, last in last }
            }
        }
        for entries in [sections["global"], sections["install"], Self.variables(context)] {
            if let directory = entries?["cache-dir"], !directory.isEmpty { cacheDirectory = directory }
            if let off = entries?["no-cache-dir"], !off.isEmpty { isCacheOff = true }
        }
    }

    /// The file that the user's settings are written to.
    static func userFile(_ context: ResolutionContext) -> String {
        join(PlatformDirectories(context, isVendoredByPip: true).config("pip"), "pip.conf")
    }

    /// The files in pip's order, the strongest last.
    private static func files(_ context: ResolutionContext) -> [String] {
        let chosen = context.value("PIP_CONFIG_FILE")
        if chosen == "/dev/null" { return [] }
        var files = PlatformDirectories(context, isVendoredByPip: true).siteConfig("pip").map { join($0, "pip.conf") }
        files.append("/etc/pip.conf")
        if chosen?.isEmpty != false || !context.exists(chosen ?? "") {
            files += [join(context.homeDirectory, ".pip", "pip.conf"), userFile(context)]
        }
        files.append(join(context.pythonPrefix, "pip.conf"))
        if let chosen, !chosen.isEmpty { files.append(chosen) }
        return files
    }

    private static func variables(_ context: ResolutionContext) -> [String: String] {
        var entries: [String: String] = [:]
        for (name, value) in context.environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix("PIP_") {
            entries[key(String(name.dropFirst(4)))] = value
        }
        return entries
    }

    private static func key(_ name: String) -> String {
        let name = String(name.lowercased().map { $0 == "_" ? "-" : $0 })
        return name.hasPrefix("--") ? String(name.dropFirst(2)) : name
    }
}
