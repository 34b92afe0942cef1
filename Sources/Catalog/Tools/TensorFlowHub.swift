/// TensorFlow Hub (tensorflow_hub 0.16 `resolver.py`, `tfhub_cache_dir`): in the temporary directory unless told.
enum TensorFlowHub {
    static let locations = [
        ToolLocation(
            id: "tensorflow-hub", title: "TensorFlow Hub", kind: "model-cache", placement: .direct,
            variables: ["TFHUB_CACHE_DIR"], volumeSubdirectory: "models/tensorflow-hub",
            note: "models are downloaded once",
            resolve: { context in
                context.absolute(context.filled("TFHUB_CACHE_DIR") ?? join(context.temporaryDirectory, "tfhub_modules"))
            })
    ]
}
