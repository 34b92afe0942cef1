/// Kaggle (kagglehub 1.0 `config.py`; kaggle 2.2 `api/kaggle_api_extended.py`).
enum Kaggle {
    static let locations = [
        // An empty value counts, `~` is not expanded.
        ToolLocation(
            id: "kagglehub", title: "Kaggle hub", kind: "model-cache", placement: .direct,
            variables: ["KAGGLEHUB_CACHE"], volumeSubdirectory: "models/kagglehub",
            note: "models and datasets are downloaded once",
            resolve: { $0.absolute($0.value("KAGGLEHUB_CACHE") ?? join($0.homeDirectory, ".cache", "kagglehub")) }),
        ToolLocation(
            id: "kaggle-token", title: "Kaggle token", kind: "secret", placement: .secret,
            variables: ["KAGGLE_CONFIG_DIR"], note: "kaggle.json is a password",
            resolve: { context in
                if let directory = context.filled("KAGGLE_CONFIG_DIR") { return context.absolute(directory) }
                let own = context.absolute(join(context.homeDirectory, ".kaggle"))
                // Only where it is known to be missing; kagglehub always looks there.
                guard context.files.access(to: own) == .missing else { return own }
                let config = context.filled("XDG_CONFIG_HOME") ?? join(context.homeDirectory, ".config")
                return context.absolute(join(config, "kaggle"))
            }),
    ]
}
