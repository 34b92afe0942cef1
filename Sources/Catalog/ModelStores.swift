/// Model downloaders beside Hugging Face.
enum ModelStores {
    static let locations = [
        // modelscope_hub 0.5 `utils/file_utils.py`, `get_cache_dir`.
        ToolLocation(
            id: "modelscope", title: "ModelScope", kind: "model-cache", placement: .direct,
            variables: ["MODELSCOPE_CACHE"],
            volumeSubdirectory: "models/modelscope", note: "models are downloaded once",
            resolve: { context in
                let cache = context.filled("MODELSCOPE_CACHE") ?? join(context.homeDirectory, ".cache", "modelscope")
                return context.absolute(context.expandUser(cache))
            }),
        // kagglehub 1.0 `config.py`, `get_cache_folder`: an empty value counts, `~` is not expanded.
        ToolLocation(
            id: "kagglehub", title: "Kaggle hub", kind: "model-cache", placement: .direct,
            variables: ["KAGGLEHUB_CACHE"],
            volumeSubdirectory: "models/kagglehub", note: "models and datasets are downloaded once",
            resolve: { $0.absolute($0.value("KAGGLEHUB_CACHE") ?? join($0.homeDirectory, ".cache", "kagglehub")) }),
        // keras 3 `backend/config.py`: in /tmp when the home directory cannot be written.
        ToolLocation(
            id: "keras", title: "Keras", kind: "model-cache", placement: .direct, variables: ["KERAS_HOME"],
            volumeSubdirectory: "models/keras", note: "weights and datasets are downloaded once",
            resolve: { context in
                if let home = context.value("KERAS_HOME") { return context.absolute(home) }
                let home = context.homeDirectory
                return context.absolute(join(context.isWritableDirectory(home) ? home : "/tmp", ".keras"))
            }),
        // ollama `envconfig/config.go`, `Models`; quotes and blanks around the value are cut off.
        ToolLocation(
            id: "ollama", title: "Ollama models", kind: "model-cache", placement: .direct, variables: ["OLLAMA_MODELS"],
            volumeSubdirectory: "models/ollama", note: "models are pulled once",
            resolve: { context in
                let value = context.value("OLLAMA_MODELS").map(trimmingQuotes) ?? ""
                return context.absolute(value.isEmpty ? join(context.homeDirectory, ".ollama", "models") : value)
            }),
    ]

    private static func trimmingQuotes(_ value: String) -> String {
        let isSpace: (Character) -> Bool = { $0.isWhitespace }
        let isQuote: (Character) -> Bool = { $0 == "\"" || $0 == "'" }
        return trimming(trimming(Substring(value), isSpace), isQuote)
    }

    private static func trimming(_ text: Substring, _ drop: (Character) -> Bool) -> Substring {
        var text = text
        while let first = text.first, drop(first) { text.removeFirst() }
        while let last = text.last, drop(last) { text.removeLast() }
        return text
    }

    private static func trimming(_ text: Substring, _ drop: (Character) -> Bool) -> String {
        String(trimming(text, drop) as Substring)
    }
}
