/// CuPy (14 `cuda/compiler.py`).
enum CuPy {
    static let locations = [
        ToolLocation(
            id: "cupy", title: "CuPy kernels", kind: "compile-cache", placement: .synced, variables: ["CUPY_CACHE_DIR"],
            note: "many small files, cheap to lose",
            resolve: { context in
                if context.value("CUPY_CACHE_IN_MEMORY") == "1" { return nil }
                return context.absolute(context.value("CUPY_CACHE_DIR") ?? context.expandUser("~/.cupy/kernel_cache"))
            })
    ]
}
