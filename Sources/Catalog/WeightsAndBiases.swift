/// Weights & Biases (wandb 0.31 `env.py`, `wandb_settings.py`).
enum WeightsAndBiases {
    static let locations = [
        ToolLocation(
            id: "wandb-runs", title: "W&B runs", kind: "other", placement: .local, variables: ["WANDB_DIR"],
            note: "runs are kept beside the code that makes them: start it in a directory on the volume",
            resolve: { context in
                // An existing .wandb is preferred to wandb; a directory that cannot be written falls back to the temporary one.
                let root = context.absolute(context.filled("WANDB_DIR") ?? ".")
                let hidden = join(root, ".wandb")
                return context.isWritableDirectory(hidden) ? hidden : join(root, "wandb")
            }),
        ToolLocation(
            id: "wandb-cache", title: "W&B artifact cache", kind: "model-cache", placement: .local,
            variables: ["WANDB_CACHE_DIR"], note: "copies of artifacts that the service keeps: cheap to lose",
            resolve: { context in
                let cache = context.absoluteOnly("XDG_CACHE_HOME") ?? join(context.homeDirectory, ".cache")
                return context.absolute(context.expandUser(context.value("WANDB_CACHE_DIR") ?? join(cache, "wandb")))
            }),
    ]
}
