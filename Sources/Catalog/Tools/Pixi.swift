/// pixi and rattler (pixi 0.76, its reference of environment variables). A project's environments lie in its `.pixi`.
enum Pixi {
    static let locations = [
        ToolLocation(
            id: "pixi-home", title: "pixi environments", kind: "conda", placement: .synced, variables: ["PIXI_HOME"],
            note: "environments: many small files that are imported at every start",
            resolve: { $0.absolute($0.value("PIXI_HOME") ?? join($0.homeOfRust, ".pixi")) }),
        ToolLocation(
            id: "pixi-cache", title: "pixi packages", kind: "conda", placement: .synced,
            variables: ["PIXI_CACHE_DIR", "RATTLER_CACHE_DIR"],
            note: "packages are linked into environments: both must be on one file system",
            resolve: { context in
                if let named = context.value("PIXI_CACHE_DIR") ?? context.value("RATTLER_CACHE_DIR") {
                    return context.absolute(named)
                }
                // Only a directory that is there already.
                let own = join(context.cacheOfRust, "pixi")
                return context.absolute(context.exists(own) ? own : join(context.cacheOfRust, "rattler", "cache"))
            }),
        ToolLocation(
            id: "rattler-credentials", title: "pixi credentials", kind: "secret", placement: .secret,
            variables: ["RATTLER_AUTH_FILE"], note: "tokens for package channels",
            resolve: { context in
                context.absolute(
                    context.value("RATTLER_AUTH_FILE") ?? join(context.homeOfRust, ".rattler", "credentials.json"))
            }),
    ]
}
