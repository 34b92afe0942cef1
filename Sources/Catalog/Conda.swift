/// conda's package cache (conda `context.py`, `constants.py`).
enum Conda {
    static let locations = [
        ToolLocation(
            id: "conda-packages", title: "conda packages", kind: "conda", placement: .synced,
            variables: ["CONDA_PKGS_DIRS"],
            note: "packages are hard-linked into environments: both must be on one file system",
            resolve: { context in
                // Separated by commas, not colons; the first one that can be written is used.
                let listed =
                    context.filled("CONDA_PKGS_DIRS")?.split(separator: ",").map { expand(String($0), context) } ?? []
                let root = root(context).map { join($0, "pkgs") }
                let candidates =
                    listed.isEmpty ? [root, join(context.homeDirectory, ".conda/pkgs")].compactMap { $0 } : listed
                let chosen = candidates.first { context.isWritableDirectory(context.absolute($0)) } ?? candidates.first
                return chosen.map(context.absolute)
            })
    ]

    private static func expand(_ path: String, _ context: ResolutionContext) -> String {
        context.expandVariables(context.expandUser(path))
    }

    /// The installation: CONDA_ROOT, else two directories above CONDA_EXE (`<root>/bin/conda`), as the shell hook sets it.
    private static func root(_ context: ResolutionContext) -> String? {
        if let root = context.filled("CONDA_ROOT") { return root }
        guard let program = context.filled("CONDA_EXE") else { return nil }
        let parts = program.split(separator: "/")
        return parts.count > 2 ? "/" + parts.dropLast(2).joined(separator: "/") : nil
    }
}
