/// Hugging Face transformers (transformers 5.24 `utils/hub.py`; models lie in the hub's cache).
enum Transformers {
    static let locations = [
        ToolLocation(
            id: "transformers-modules", title: "Hugging Face remote code", kind: "code", placement: .direct,
            variables: ["HF_MODULES_CACHE"], isLeftUnset: true, parent: "huggingface-home",
            note: "the same variable as for datasets; by default it follows the hub's reading of HF_HOME",
            resolve: { $0.absolute($0.value("HF_MODULES_CACHE") ?? join(HuggingFaceHub.home($0), "modules")) }),
        // transformers 4 only (`utils/hub.py` of 4.57): three names, and it kept its models apart from the hub's.
        ToolLocation(
            id: "transformers-4-models", title: "models of transformers 4", kind: "hf-hub", placement: .direct,
            variables: ["TRANSFORMERS_CACHE", "PYTORCH_TRANSFORMERS_CACHE", "PYTORCH_PRETRAINED_BERT_CACHE"],
            isLeftUnset: true, parent: "huggingface-home",
            note: "transformers 5 does not read it, and before it split the models from those of other libraries",
            resolve: { context in
                let names = ["TRANSFORMERS_CACHE", "PYTORCH_TRANSFORMERS_CACHE", "PYTORCH_PRETRAINED_BERT_CACHE"]
                return names.lazy.compactMap(context.value).first.map(context.absolute)
            }),
    ]
}
