/// Weights & Biases (wandb 0.31 `env.py`, `sdk/wandb_settings.py`, `sdk/wandb_init.py`, `sdk/wandb_setup.py`).
enum WeightsAndBiases {
    static let locations = [
        ToolLocation(
            id: "wandb-runs", title: "W&B runs", kind: "other", placement: .local, variables: ["WANDB_DIR"],
            note: "runs are kept beside the code that makes them: start it in a directory on the volume",
            resolve: { context in
                var root = context.value("WANDB_DIR") ?? context.workingDirectory
                // `~` is made as it is written first, and expanded afterwards.
                if root.isEmpty || !context.canMakeDirectory(root) { root = context.temporaryDirectory }
                // An existing .wandb is preferred to wandb.
                let isHidden = context.exists(join(root, ".wandb"))
                let path = context.expandUser(join(root, isHidden ? ".wandb" : "wandb"))
                return path.hasPrefix("~") ? nil : context.absolute(path)
            }),
        ToolLocation(
            id: "wandb-cache", title: "W&B artifact cache", kind: "model-cache", placement: .local,
            variables: ["WANDB_CACHE_DIR"], note: "copies of artifacts that the service keeps: cheap to lose",
            resolve: { $0.absolute($0.value("WANDB_CACHE_DIR") ?? PlatformDirectories($0).cache("wandb")) }),
        ToolLocation(
            id: "wandb-data", title: "W&B staging", kind: "other", placement: .local, variables: ["WANDB_DATA_DIR"],
            note: "whole copies of artifacts until they are uploaded",
            resolve: { $0.absolute($0.value("WANDB_DATA_DIR") ?? PlatformDirectories($0).data("wandb")) }),
        ToolLocation(
            id: "wandb-artifacts", title: "W&B artifacts", kind: "other", placement: .local,
            variables: ["WANDB_ARTIFACT_DIR"], note: "downloaded beside the code that asks for them",
            resolve: { $0.absolute($0.value("WANDB_ARTIFACT_DIR") ?? "artifacts") }),
        ToolLocation(
            id: "wandb-configuration", title: "W&B settings", kind: "dotfile", placement: .local,
            variables: ["WANDB_CONFIG_DIR"], note: "small files of the user",
            resolve: { context in
                let path = context.expandUser(context.filled("WANDB_CONFIG_DIR") ?? "~/.config/wandb")
                return path.hasPrefix("~") ? nil : context.absolute(path)
            }),
    ]
}
