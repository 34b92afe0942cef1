/// JAX (0.10 `_src/config.py`, `_src/compilation_cache.py`): there is no cache unless a directory is named.
enum JAX {
    static let locations = [
        ToolLocation(
            id: "jax", title: "JAX programs", kind: "compile-cache", placement: .synced,
            variables: ["JAX_COMPILATION_CACHE_DIR"], note: "compiled programs; off unless the variable is set",
            resolve: { context in
                let off = ["0", "f", "false", "n", "no", "off"]
                guard let directory = context.filled("JAX_COMPILATION_CACHE_DIR"), !directory.contains("://"),
                    !off.contains(context.value("JAX_ENABLE_COMPILATION_CACHE")?.lowercased() ?? "")
                else { return nil }
                return context.absolute(directory)
            })
    ]
}
