/// TorchInductor (torch 2.9 `_inductor/runtime/cache_dir_utils.py`): in the temporary directory, by user.
enum TorchInductor {
    static let locations = [
        ToolLocation(
            id: "torch-inductor", title: "TorchInductor", kind: "compile-cache", placement: .synced,
            variables: ["TORCHINDUCTOR_CACHE_DIR"],
            note: "many small files behind locks: slow and fragile on network file systems",
            resolve: { context in
                if let directory = context.value("TORCHINDUCTOR_CACHE_DIR") {
                    // An empty one cannot be made.
                    return directory.isEmpty ? nil : context.absolute(directory)
                }
                let user = String(context.loginName.map { "\\/:*?\"<>|".contains($0) ? "_" : $0 })
                return context.absolute(join(context.temporaryDirectory, "torchinductor_" + user))
            })
    ]
}
