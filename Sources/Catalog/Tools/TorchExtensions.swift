/// C++ extensions of PyTorch (torch 2.9 `utils/cpp_extension.py`, `_appdirs.py`). Without the variable each version of
/// Python and CUDA has a directory of its own inside.
enum TorchExtensions {
    static let locations = [
        ToolLocation(
            id: "torch-extensions", title: "PyTorch extensions", kind: "compile-cache", placement: .synced,
            variables: ["TORCH_EXTENSIONS_DIR"],
            note: "built with locks and time stamps that network file systems round",
            resolve: { context in
                let cache = context.value("XDG_CACHE_HOME") ?? context.expandUser("~/.cache")
                return context.absolute(context.value("TORCH_EXTENSIONS_DIR") ?? join(cache, "torch_extensions"))
            })
    ]
}
