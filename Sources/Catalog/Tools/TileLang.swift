/// TileLang (0.1.15 `env.py`): an empty value counts, `~` is not expanded.
enum TileLang {
    static let locations = [
        ToolLocation(
            id: "tilelang", title: "TileLang kernels", kind: "compile-cache", placement: .synced,
            variables: ["TILELANG_CACHE_DIR"], note: "many small files behind locks",
            resolve: { context in
                if ["1", "true", "yes", "on"].contains(context.value("TILELANG_DISABLE_CACHE")?.lowercased() ?? "") {
                    return nil
                }
                return context.absolute(
                    context.value("TILELANG_CACHE_DIR") ?? context.expandUser("~/.tilelang/cache"))
            })
    ]
}
