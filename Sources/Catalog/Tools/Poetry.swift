import Settings

/// Poetry (2.5 `locations.py`, `config/config.py`, `factory.py`).
enum Poetry {
    static let locations = [
        ToolLocation(
            id: "poetry-cache", title: "Poetry cache", kind: "pip-cache", placement: .synced,
            variables: ["POETRY_CACHE_DIR"], note: "the environments that Poetry makes lie inside",
            resolve: { PoetrySettings($0)?.directory(["cache-dir"]) }),
        ToolLocation(
            id: "poetry-environments", title: "Poetry environments", kind: "venv", placement: .synced,
            variables: ["POETRY_VIRTUALENVS_PATH"], parent: "poetry-cache",
            note: "environments: many small files that are imported at every start",
            resolve: { PoetrySettings($0)?.directory(["virtualenvs", "path"]) }),
        ToolLocation(
            id: "poetry-data", title: "Poetry data", kind: "other", placement: .synced, variables: ["POETRY_DATA_DIR"],
            note: "interpreters that Poetry installed", resolve: { PoetrySettings($0)?.directory(["data-dir"]) }),
        ToolLocation(
            id: "poetry-configuration", title: "Poetry settings", kind: "dotfile", placement: .secret,
            variables: ["POETRY_CONFIG_DIR"], note: "may hold passwords of package indexes",
            resolve: { context in
                PoetrySettings(context) == nil ? nil : context.absolute(PoetrySettings.configDirectory(context))
            }),
    ]
}

/// Poetry's settings: a variable, then `poetry.toml` of the project, then the user's `auth.toml` and `config.toml`.
private struct PoetrySettings {
    private let context: ResolutionContext
    private var files: [TOMLValues] = []

    /// nil when Poetry does not start: `~name` of an unknown user in POETRY_HOME is an error of pathlib.
    init?(_ context: ResolutionContext) {
        self.context = context
        if context.filled("POETRY_HOME").map(context.expandUser)?.hasPrefix("~") == true { return nil }
        let config = Self.configDirectory(context)
        let project = Self.project(context).map { join($0, "poetry.toml") }
        files = [project, join(config, "auth.toml"), join(config, "config.toml")].compactMap { path in
            path.flatMap { context.files.text(of: context.absolute($0)) }.flatMap { TOMLValues($0) }
        }
    }

    static func configDirectory(_ context: ResolutionContext) -> String {
        context.filled("POETRY_CONFIG_DIR") ?? PlatformDirectories(context).config("pypoetry")
    }

    /// The nearest directory with a `pyproject.toml`.
    private static func project(_ context: ResolutionContext) -> String? {
        var directory = context.absolute(context.workingDirectory)
        while !context.exists(join(directory, "pyproject.toml")) {
            guard directory != "/" else { return nil }
            directory = context.absolute(directory + "/..")
        }
        return directory
    }

    func directory(_ key: [String]) -> String? {
        guard let value = try? value(key, depth: 0) else { return nil }
        let path = context.expandUser(value)
        // `~name` of an unknown user is an error of pathlib.
        return path.hasPrefix("~") ? nil : context.absolute(path)
    }

    /// A setting that stands for itself; Poetry ends with a RecursionError.
    private struct Endless: Error {}

    private func value(_ key: [String], depth: Int) throws -> String? {
        guard depth < 16 else { throw Endless() }
        let name = key.joined(separator: "_").uppercased().replacing("-", with: "_")
        let written = files.lazy.compactMap { $0.string(key) }.first
        return try (context.value("POETRY_" + name) ?? written ?? standard(key)).map { try expand($0, depth: depth) }
    }

    private func standard(_ key: [String]) -> String? {
        switch key {
        case ["cache-dir"]: return PlatformDirectories(context).cache("pypoetry")
        case ["virtualenvs", "path"]: return "{cache-dir}/virtualenvs"
        case ["data-dir"]:
            return context.filled("POETRY_HOME").map(context.expandUser)
                ?? PlatformDirectories(context).data("pypoetry")
        default: return nil
        }
    }

    /// `{key}` stands for another setting; an unknown one stays.
    private func expand(_ text: String, depth: Int) throws -> String {
        guard let open = text.firstIndex(of: "{"), let close = text[open...].firstIndex(of: "}"),
            text.index(after: open) < close
        else { return text }
        let name = text[text.index(after: open)..<close]
        let inner = try value(name.split(separator: ".").map(String.init), depth: depth + 1) ?? "{\(name)}"
        let rest = try expand(String(text[text.index(after: close)...]), depth: depth)
        return text[..<open] + inner + rest
    }
}
