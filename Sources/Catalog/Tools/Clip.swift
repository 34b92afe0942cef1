/// OpenAI CLIP (`clip/clip.py`, `load`).
enum Clip {
    static let locations = [
        ToolLocation(
            id: "clip", title: "CLIP models", kind: "model-cache", placement: .local, note: "only an argument moves it",
            resolve: { $0.absolute($0.expandUser("~/.cache/clip")) })
    ]
}
