/// The Hugging Face family (huggingface_hub 2.4 `constants.py`, datasets 5.2 `config.py`).
enum HuggingFace {
    static let locations = [
        ToolLocation(
            id: "huggingface-home", title: "Hugging Face home", kind: "hf-hub", placement: .direct,
            variables: ["HF_HOME"],
            volumeSubdirectory: "huggingface",
            note: "models and datasets are downloaded once and read by every later pod",
            resolve: { $0.absolute(home($0)) }),
        ToolLocation(
            id: "huggingface-hub", title: "Hugging Face models", kind: "hf-hub", placement: .direct,
            variables: ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"], volumeSubdirectory: "huggingface/hub",
            parent: "huggingface-home", note: "models are downloaded once and read by every later pod",
            resolve: { context in
                if isStaging(context) { return context.absolute(join(stagingHome(context), "hub")) }
                let legacy = context.value("HUGGINGFACE_HUB_CACHE") ?? join(home(context), "hub")
                return context.absolute(expand(context.value("HF_HUB_CACHE") ?? legacy, context))
            }),
        ToolLocation(
            id: "huggingface-datasets", title: "Hugging Face datasets", kind: "hf-datasets", placement: .direct,
            variables: ["HF_DATASETS_CACHE"], volumeSubdirectory: "huggingface/datasets", parent: "huggingface-home",
            note: "datasets are downloaded and converted once",
            resolve: { $0.absolute($0.value("HF_DATASETS_CACHE") ?? join(datasetsHome($0), "datasets")) }),
        ToolLocation(
            id: "huggingface-assets", title: "Hugging Face assets", kind: "hf-hub", placement: .direct,
            variables: ["HF_ASSETS_CACHE", "HUGGINGFACE_ASSETS_CACHE"], volumeSubdirectory: "huggingface/assets",
            parent: "huggingface-home", note: "files that libraries derive from models",
            resolve: { context in
                let legacy = context.value("HUGGINGFACE_ASSETS_CACHE") ?? join(home(context), "assets")
                return context.absolute(expand(context.value("HF_ASSETS_CACHE") ?? legacy, context))
            }),
        ToolLocation(
            id: "huggingface-xet", title: "Hugging Face transfer cache", kind: "model-cache", placement: .local,
            variables: ["HF_XET_CACHE"], parent: "huggingface-home",
            note: "chunks and staging files of transfers are faster on local disk and safe to lose",
            // Neither `~` nor `$VAR` is expanded here, unlike in the variables beside it.
            resolve: { $0.absolute($0.value("HF_XET_CACHE") ?? join(home($0), "xet")) }),
        ToolLocation(
            id: "huggingface-token", title: "Hugging Face token", kind: "secret", placement: .secret,
            variables: ["HF_TOKEN_PATH"], parent: "huggingface-home",
            note: "a login makes the token's directory private (0700), which would lock other users out of HF_HOME",
            resolve: { context in
                if isStaging(context) { return context.absolute(join(stagingHome(context), "token")) }
                return context.absolute(expand(context.value("HF_TOKEN_PATH") ?? join(home(context), "token"), context))
            }),
        ToolLocation(
            id: "huggingface-modules", title: "Hugging Face remote code", kind: "code", placement: .direct,
            variables: ["HF_MODULES_CACHE"], volumeSubdirectory: "huggingface/modules", parent: "huggingface-home",
            note: "Python code that models bring along",
            resolve: { $0.absolute($0.value("HF_MODULES_CACHE") ?? join(datasetsHome($0), "modules")) }),
    ]

    private static func expand(_ path: String, _ context: ResolutionContext) -> String {
        context.expandVariables(context.expandUser(path))
    }

    private static func home(_ context: ResolutionContext) -> String {
        let cache = context.value("XDG_CACHE_HOME") ?? join(context.homeDirectory, ".cache")
        return expand(context.value("HF_HOME") ?? join(cache, "huggingface"), context)
    }

    /// The home as `datasets` sees it: `~` is expanded, `$VAR` is not.
    private static func datasetsHome(_ context: ResolutionContext) -> String {
        let cache = context.value("XDG_CACHE_HOME") ?? "~/.cache"
        return context.expandUser(context.value("HF_HOME") ?? join(cache, "huggingface"))
    }

    private static func isStaging(_ context: ResolutionContext) -> Bool {
        ["1", "ON", "YES", "TRUE"].contains(context.value("HUGGINGFACE_CO_STAGING")?.uppercased() ?? "")
    }

    private static func stagingHome(_ context: ResolutionContext) -> String {
        join(context.homeDirectory, ".cache", "huggingface_staging")
    }
}
