/// The Hugging Face hub (huggingface_hub 2.4 `constants.py`). diffusers has no rule of its own and uses this one.
enum HuggingFaceHub {
    static let locations = [
        ToolLocation(
            id: "huggingface-home", title: "Hugging Face home", kind: "hf-hub", placement: .direct,
            variables: ["HF_HOME"], volumeSubdirectory: "huggingface",
            note: "models and datasets are downloaded once and read by every later pod",
            resolve: { $0.absolute(home($0)) }),
        ToolLocation(
            id: "huggingface-hub", title: "Hugging Face models", kind: "hf-hub", placement: .direct,
            variables: ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"], volumeSubdirectory: "huggingface/hub",
            parent: "huggingface-home", note: "models are downloaded once and read by every later pod",
            resolve: { $0.absolute(cache($0)) }),
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
                if isStaging(context) {
                    return context.absolute(join(context.homeDirectory, ".cache", "huggingface_staging", "token"))
                }
                return context.absolute(token(context))
            }),
        ToolLocation(
            id: "huggingface-stored-tokens", title: "Hugging Face tokens", kind: "secret", placement: .secret,
            parent: "huggingface-token", note: "beside the token; no variable moves it by itself",
            // Staging moves the token, not these.
            resolve: { $0.absolute(join(directory(of: token($0)), "stored_tokens")) }),
    ]

    static func home(_ context: ResolutionContext) -> String {
        let cache = context.value("XDG_CACHE_HOME") ?? join(context.homeDirectory, ".cache")
        return expand(context.value("HF_HOME") ?? join(cache, "huggingface"), context)
    }

    static func cache(_ context: ResolutionContext) -> String {
        let legacy = context.value("HUGGINGFACE_HUB_CACHE") ?? join(home(context), "hub")
        return expand(context.value("HF_HUB_CACHE") ?? legacy, context)
    }

    private static func token(_ context: ResolutionContext) -> String {
        expand(context.value("HF_TOKEN_PATH") ?? join(home(context), "token"), context)
    }

    private static func expand(_ path: String, _ context: ResolutionContext) -> String {
        context.expandVariables(context.expandUser(path))
    }

    private static func isStaging(_ context: ResolutionContext) -> Bool {
        ["1", "ON", "YES", "TRUE"].contains(context.value("HUGGINGFACE_CO_STAGING")?.uppercased() ?? "")
    }
}
