extension EnvironmentLayer {
    /// `envs_dirs` in `/etc/conda/condarc.d`, so that `conda activate NAME` finds environments in the volume's `envs`.
    ///
    /// The installation's own directory is named first: the first one in the list is where `conda create` puts new ones, and
    /// an environment on a network file system is slow to make (conda `context.py`, `envs_dirs`).
    static let condaConfiguration = EnvironmentLayer(id: "condarc", reaches: [.conda], nature: .whileReady) { context in
        let roots = Self.condaRoots(context)
        guard !roots.isEmpty else { return .absent("conda is not installed") }
        guard let volume = context.plan.volume else { return LayerWish() }
        let directory = volume.mountPoint + "/envs"
        // conda expands `$NAME` and `~` in paths.
        guard directory.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "$") }) else {
            return LayerWish(left: [LeftAlone("envs_dirs of conda", "conda would read \(directory) differently")])
        }
        let entries = (roots.map { $0 + "/envs" } + [directory]).map { "  - '\($0.replacing("'", with: "''"))'\n" }
        return LayerWish(edits: [
            FileEdit(
                context.path("/etc/conda/condarc.d/packet-agent.yml"), in: context.etc,
                .block(Array("envs_dirs:\n\(entries.joined())".utf8), at: .last))
        ])
    }

    /// Where installers and images put conda, mamba and miniforge.
    private static func condaRoots(_ context: LayerContext) -> [String] {
        let names = ["conda", "miniconda3", "anaconda3", "miniforge3", "mambaforge"]
        let places = ["/opt"] + context.plan.users.map(\.home).filter { $0 == "/root" || $0.hasPrefix("/home/") }
        return places.flatMap { place in names.map { "\(place)/\($0)" } }.filter {
            context.exists($0 + "/condabin/conda")
        }
    }
}
