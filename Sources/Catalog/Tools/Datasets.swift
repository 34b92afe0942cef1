/// Hugging Face datasets (datasets 5.2 `config.py`).
enum Datasets {
    static let locations = [
        ToolLocation(
            id: "huggingface-datasets", title: "Hugging Face datasets", kind: "hf-datasets", placement: .direct,
            variables: ["HF_DATASETS_CACHE"], volumeSubdirectory: "huggingface/datasets", parent: "huggingface-home",
            note: "datasets are downloaded and converted once",
            resolve: { $0.absolute($0.value("HF_DATASETS_CACHE") ?? join(home($0), "datasets")) }),
        ToolLocation(
            id: "huggingface-modules", title: "Hugging Face remote code", kind: "code", placement: .direct,
            variables: ["HF_MODULES_CACHE"], volumeSubdirectory: "huggingface/modules", parent: "huggingface-home",
            note: "Python code that models bring along",
            resolve: { $0.absolute($0.value("HF_MODULES_CACHE") ?? join(home($0), "modules")) }),
    ]

    /// HF_HOME as `datasets` sees it: `~` is expanded, `$VAR` is not, so `HF_HOME='$HOME/x'` splits it from the hub.
    private static func home(_ context: ResolutionContext) -> String {
        context.expandUser(
            context.value("HF_HOME") ?? join(context.value("XDG_CACHE_HOME") ?? "~/.cache", "huggingface"))
    }
}
