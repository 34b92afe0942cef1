import Settings

/// uv (0.13 `uv-cache/src/cli.rs`, `uv-dirs`, `uv-settings`).
enum Uv {
    static let locations = [
        ToolLocation(
            id: "uv-cache", title: "uv cache", kind: "pip-cache", placement: .synced, variables: ["UV_CACHE_DIR"],
            note: "uv links unpacked packages from its cache into environments: both must be on one file system",
            resolve: { context in
                guard let settings = UvSettings(context), !settings.isCacheOff else { return nil }
                return settings.cache(context)
            }),
        ToolLocation(
            id: "uv-python", title: "Python of uv", kind: "other", placement: .synced,
            variables: ["UV_PYTHON_INSTALL_DIR"],
            note: "environments link to these interpreters and are dead without them",
            resolve: { directory("UV_PYTHON_INSTALL_DIR", "python", $0) }),
        ToolLocation(
            id: "uv-tools", title: "tools of uv", kind: "venv", placement: .synced, variables: ["UV_TOOL_DIR"],
            note: "environments: many small files that are imported at every start",
            resolve: { directory("UV_TOOL_DIR", "tools", isOfUser: true, $0) }),
        ToolLocation(
            id: "uv-programs", title: "programs of uv's tools", kind: "other", placement: .local,
            variables: ["UV_TOOL_BIN_DIR"], note: "links into the tools' environments",
            resolve: { context in
                guard UvSettings(context, isOfUser: true) != nil else { return nil }
                let data = context.absoluteOnly("XDG_DATA_HOME").map { join($0, "..", "bin") }
                let named = context.filled("UV_TOOL_BIN_DIR") ?? context.absoluteOnly("XDG_BIN_HOME") ?? data
                return context.absolute(named ?? join(context.homeOfRust, ".local", "bin"))
            }),
    ]

    private static func directory(
        _ variable: String, _ name: String, isOfUser: Bool = false, _ context: ResolutionContext
    ) -> String? {
        guard UvSettings(context, isOfUser: isOfUser) != nil else { return nil }
        return context.absolute(context.filled(variable) ?? join(context.dataOfRust, "uv", name))
    }
}

/// What uv's configuration says of its cache: the project's file, then the user's, then the system's.
private struct UvSettings {
    private var cacheDirectory: String?
    private(set) var isCacheOff = false

    /// uv says what is wrong and does nothing.
    private struct Refusal: Error {}
    private typealias Table = (values: TOMLValues, path: [String])

    /// nil when uv refuses to run: an empty directory, a word that is no truth value, a configuration file that is missing
    /// or no TOML.
    ///
    /// - Parameter isOfUser: commands for the user's tools do not look at a project.
    init?(_ context: ResolutionContext, isOfUser: Bool = false) {
        guard context.value("UV_CACHE_DIR")?.isEmpty != true, context.value("UV_CONFIG_FILE")?.isEmpty != true else {
            return nil
        }
        do {
            let off = try Self.truth("UV_NO_CACHE", context)
            let isIgnored = try Self.truth("UV_NO_CONFIG", context) ?? false
            let tables = try Self.tables(context, isIgnored: isIgnored, isOfUser: isOfUser)
            cacheDirectory = tables.lazy.compactMap { $0.values.string($0.path + ["cache-dir"]) }.first
            // A variable that says no beats a file that says yes.
            isCacheOff = off ?? tables.lazy.compactMap { $0.values.boolean($0.path + ["no-cache"]) }.first ?? false
        } catch {
            return nil
        }
        // uv does not work below its own cache.
        let cache = join(self.cache(context), "")
        if !isCacheOff && join(context.absolute("."), "").hasPrefix(cache) { return nil }
    }

    func cache(_ context: ResolutionContext) -> String {
        context.absolute(context.value("UV_CACHE_DIR") ?? cacheDirectory ?? join(context.cacheOfRust, "uv"))
    }

    /// clap's `BoolishValueParser`.
    private static func truth(_ name: String, _ context: ResolutionContext) throws -> Bool? {
        guard let value = context.value(name)?.lowercased() else { return nil }
        if ["y", "yes", "t", "true", "on", "1"].contains(value) { return true }
        guard ["n", "no", "f", "false", "off", "0"].contains(value) else { throw Refusal() }
        return false
    }

    private static func tables(
        _ context: ResolutionContext, isIgnored: Bool, isOfUser: Bool
    ) throws -> [Table] {
        if let chosen = context.value("UV_CONFIG_FILE") {
            guard let values = try settings(chosen, context) else { throw Refusal() }
            return [(values, [])]
        }
        if isIgnored { return [] }
        let project = isOfUser ? nil : try project(context)
        let user = try settings(join(context.configOfRust, "uv", "uv.toml"), context)
        let system = try systemFiles(context).first(where: context.exists).flatMap { try settings($0, context) }
        return [project, user.map { ($0, []) }, system.map { ($0, []) }].compactMap { $0 }
    }

    /// `uv.toml`: nil when it is not there.
    private static func settings(_ path: String, _ context: ResolutionContext) throws -> TOMLValues? {
        guard let text = context.files.text(of: context.absolute(path)) else { return nil }
        guard let values = TOMLValues(text) else { throw Refusal() }
        return values
    }

    /// The nearest directory that has `uv.toml` or a `pyproject.toml` with `[tool.uv]`, from the project's root upwards.
    private static func project(_ context: ResolutionContext) throws -> Table? {
        let above = ancestors(of: context.workingDirectory, context)
        // The nearest pyproject.toml is the root of a project if it says so, even when a directory below has settings.
        let nearest = above.first { context.exists(join($0, "pyproject.toml")) }
        let root = nearest.flatMap { pyproject($0, context)?.contains(["project"]) == true ? $0 : nil }
        for directory in root.map({ ancestors(of: $0, context) }) ?? above {
            if let values = try settings(join(directory, "uv.toml"), context) { return (values, []) }
            if let values = pyproject(directory, context), values.contains(["tool", "uv"]) {
                return (values, ["tool", "uv"])
            }
        }
        return nil
    }

    private static func pyproject(_ directory: String, _ context: ResolutionContext) -> TOMLValues? {
        context.files.text(of: join(directory, "pyproject.toml")).flatMap { TOMLValues($0) }
    }

    private static func ancestors(of path: String, _ context: ResolutionContext) -> [String] {
        var result = [context.absolute(path)]
        while let last = result.last, last != "/" { result.append(context.absolute(last + "/..")) }
        return result
    }

    /// The first that is there is read.
    private static func systemFiles(_ context: ResolutionContext) -> [String] {
        let named = (context.filled("XDG_CONFIG_DIRS") ?? "/etc/xdg").split(separator: ":")
        return named.map { join(String($0), "uv", "uv.toml") } + ["/etc/uv/uv.toml"]
    }
}
