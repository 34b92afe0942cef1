/// OpenAI Whisper (openai-whisper `__init__.py`, `load_model`).
enum Whisper {
    static let locations = [
        ToolLocation(
            id: "whisper", title: "Whisper models", kind: "model-cache", placement: .local,
            note: "only XDG_CACHE_HOME or an argument moves it",
            resolve: { context in
                let cache = context.value("XDG_CACHE_HOME") ?? join(context.homeDirectory, ".cache")
                return context.absolute(join(cache, "whisper"))
            })
    ]
}
