/// Ollama (`envconfig/config.go`, `Models`; quotes and blanks around the value are cut off). A service started by systemd
/// runs as the user `ollama` and sees no shell's variables.
enum Ollama {
    static let locations = [
        ToolLocation(
            id: "ollama", title: "Ollama models", kind: "model-cache", placement: .direct, variables: ["OLLAMA_MODELS"],
            volumeSubdirectory: "models/ollama", note: "models are pulled once",
            resolve: { context in
                let value = context.value("OLLAMA_MODELS").map(trimmingQuotes) ?? ""
                return context.absolute(value.isEmpty ? join(context.homeDirectory, ".ollama", "models") : value)
            }),
        ToolLocation(
            id: "ollama-key", title: "Ollama key", kind: "secret", placement: .secret,
            note: "signs requests to the registry",
            resolve: { $0.absolute(join($0.homeDirectory, ".ollama", "id_ed25519")) }),
    ]

    private static func trimmingQuotes(_ value: String) -> String {
        let isSpace: (Character) -> Bool = { $0.isWhitespace }
        let isQuote: (Character) -> Bool = { $0 == "\"" || $0 == "'" }
        return String(trimming(trimming(Substring(value), isSpace), isQuote))
    }

    private static func trimming(_ text: Substring, _ drop: (Character) -> Bool) -> Substring {
        var text = text
        while let first = text.first, drop(first) { text.removeFirst() }
        while let last = text.last, drop(last) { text.removeLast() }
        return text
    }
}
