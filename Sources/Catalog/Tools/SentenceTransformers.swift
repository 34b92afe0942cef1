/// sentence-transformers (6.2 `base/model.py`): the variable is taken as it is for the hub's cache directory.
enum SentenceTransformers {
    static let locations = [
        ToolLocation(
            id: "sentence-transformers", title: "sentence-transformers", kind: "hf-hub", placement: .direct,
            variables: ["SENTENCE_TRANSFORMERS_HOME"], isLeftUnset: true, parent: "huggingface-home",
            note: "it follows the hub's cache; set, it would hold every model a second time",
            resolve: { $0.absolute($0.value("SENTENCE_TRANSFORMERS_HOME") ?? HuggingFaceHub.cache($0)) })
    ]
}
