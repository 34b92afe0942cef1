/// ModelScope (modelscope_hub 0.5 `config.py`, `HubConfig`; modelscope 1.40 `hub/__init__.py`, `utils/file_utils.py`).
enum ModelScope {
    static let locations = [
        ToolLocation(
            id: "modelscope", title: "ModelScope", kind: "model-cache", placement: .direct,
            variables: ["MODELSCOPE_CACHE", "MS_CACHE_HOME"], volumeSubdirectory: "models/modelscope",
            note: "models are downloaded once",
            resolve: { context in
                guard let (cache, _) = directories(context) else { return nil }
                // The old name is taken as it is written.
                let old = context.filled("MODELSCOPE_CACHE") == nil ? context.filled("MS_CACHE_HOME") : nil
                return old.map(context.absolute) ?? cache
            }),
        // Parts of modelscope that do not go through modelscope_hub: another default, and an empty value counts.
        ToolLocation(
            id: "modelscope-old", title: "ModelScope", kind: "model-cache", placement: .direct,
            variables: ["MODELSCOPE_CACHE"], isLeftUnset: true, parent: "modelscope",
            note: "the same variable, but the default has one directory more",
            resolve: { context in
                let own = join(context.homeDirectory, ".cache", "modelscope", "hub")
                return context.absolute(context.expandUser(context.value("MODELSCOPE_CACHE") ?? own))
            }),
        ToolLocation(
            id: "modelscope-home", title: "ModelScope login", kind: "secret", placement: .secret,
            variables: ["MODELSCOPE_HOME", "MODELSCOPE_CREDENTIALS_PATH"], note: "cookies and tokens of a login",
            resolve: { context in
                guard let (_, home) = directories(context) else { return nil }
                guard let named = context.filled("MODELSCOPE_CREDENTIALS_PATH") else { return home }
                // A file stands for its directory, also one that is only named like the usual file.
                guard let path = expand(named, context) else { return nil }
                let entry = context.files.entry(at: path)
                let isFile = entry.map { !$0.isDirectory } ?? path.hasSuffix("/credentials")
                return isFile ? context.absolute(path + "/..") : path
            }),
    ]

    /// `HubConfig`: one directory that cannot be expanded fails both.
    private static func directories(_ context: ResolutionContext) -> (cache: String, home: String)? {
        let home = context.homeDirectory
        guard
            let cache = expand(context.filled("MODELSCOPE_CACHE") ?? join(home, ".cache", "modelscope"), context),
            let login = expand(context.filled("MODELSCOPE_HOME") ?? join(home, ".modelscope"), context)
        else { return nil }
        return (cache, login)
    }

    /// pathlib's `expanduser`: `~name` of an unknown user is an error.
    private static func expand(_ path: String, _ context: ResolutionContext) -> String? {
        let path = context.expandUser(path)
        return path.hasPrefix("~") ? nil : context.absolute(path)
    }
}
