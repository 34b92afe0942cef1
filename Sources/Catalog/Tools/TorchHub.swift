/// torch.hub (torch 2.9 `hub.py`, `_get_torch_home`).
enum TorchHub {
    static let locations = [
        ToolLocation(
            id: "torch-hub", title: "PyTorch hub", kind: "model-cache", placement: .direct, variables: ["TORCH_HOME"],
            volumeSubdirectory: "models/torch", note: "pretrained weights are downloaded once",
            resolve: { context in
                let cache = join(context.value("XDG_CACHE_HOME") ?? "~/.cache", "torch")
                return context.absolute(join(context.expandUser(context.value("TORCH_HOME") ?? cache), "hub"))
            })
    ]
}
