/// Numba (0.61 `core/caching.py`, `core/config.py`). By default kernels lie in `__pycache__` beside the source; the
/// user-wide directory is for sources that cannot be written.
enum Numba {
    static let locations = [
        ToolLocation(
            id: "numba", title: "Numba kernels", kind: "compile-cache", placement: .synced,
            variables: ["NUMBA_CACHE_DIR"], note: "many small files, cheap to lose",
            resolve: { context in
                let cache = context.value("XDG_CACHE_HOME") ?? context.expandUser("~/.cache")
                return context.absolute(context.filled("NUMBA_CACHE_DIR") ?? join(cache, "numba"))
            })
    ]
}
