/// mamba 2 and micromamba (mamba 2.3 `libmamba/src/api/configuration.cpp`, `root_prefix_hook`).
enum Mamba {
    static let locations = [
        ToolLocation(
            id: "mamba", title: "mamba environments", kind: "conda", placement: .synced,
            variables: ["MAMBA_ROOT_PREFIX"],
            note: "environments and their packages: both must be on one file system",
            resolve: { context in
                if let root = context.filled("MAMBA_ROOT_PREFIX") { return context.absolute(context.expandUser(root)) }
                // The default of version 1 stays in use where it was used.
                let first = context.absolute(join(context.homeDirectory, "micromamba"))
                if ["pkgs", "envs", "conda-meta"].contains(where: { context.exists(join(first, $0)) }) { return first }
                let data = context.filled("XDG_DATA_HOME") ?? join(context.homeDirectory, ".local", "share")
                return context.absolute(join(data, "mamba"))
            })
    ]
}
