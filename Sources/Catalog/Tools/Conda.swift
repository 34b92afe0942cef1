/// conda (26 `base/context.py`, `core/package_cache_data.py`).
enum Conda {
    static let locations = [
        ToolLocation(
            id: "conda-environments", title: "conda environments", kind: "conda", placement: .synced,
            variables: ["CONDA_ENVS_DIRS", "CONDA_ENVS_PATH"],
            note: "environments: many small files that are imported at every start",
            // A new environment is made in the first directory that can be written.
            resolve: { context in
                let settings = CondaSettings(context)
                let listed = settings.list(
                    variable: context.value("CONDA_ENVS_DIRS") ?? context.value("CONDA_ENVS_PATH"), separator: ":",
                    keys: ["envs_dirs", "envs_path"])
                let own = join(context.homeDirectory, ".conda", "envs")
                guard let root = CondaSettings.root(context) else { return choose(listed + [own], settings, context) }
                let shared = join(root, "envs")
                let isRootWritable = context.files.access(to: join(root, "conda-meta", "history")) == .writable
                return choose(listed + (isRootWritable ? [shared, own] : [own, shared]), settings, context)
            }),
        ToolLocation(
            id: "conda-packages", title: "conda packages", kind: "conda", placement: .synced,
            variables: ["CONDA_PKGS_DIRS"],
            note: "packages are hard-linked into environments: both must be on one file system",
            resolve: { context in
                let settings = CondaSettings(context)
                // Separated by commas, not colons.
                let listed = settings.list(
                    variable: context.value("CONDA_PKGS_DIRS"), separator: ",", keys: ["pkgs_dirs"])
                let shared = CondaSettings.root(context).map { join($0, "pkgs") }
                let fixed = [shared, join(context.homeDirectory, ".conda", "pkgs")].compactMap { $0 }
                return choose(listed.isEmpty ? fixed : listed, settings, context)
            }),
    ]

    private static func choose(_ paths: [String], _ settings: CondaSettings, _ context: ResolutionContext) -> String? {
        let paths = paths.map(settings.expand)
        return paths.first(where: context.canMakeDirectory) ?? paths.first
    }
}
