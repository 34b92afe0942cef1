import Storage

/// Sorts changed files into what they are to the user. Pure but for the package records it is given.
struct Grouping {
    /// What a file belongs to.
    struct Key: Hashable {
        let kind: AtRiskKind
        let path: BytePath
        let title: String
        /// True when only files directly in ``path`` belong to the group.
        let isShallow: Bool

        /// What `packet-agent at-risk` and `packet-agent move` call the group, safe for a terminal.
        var id: String { "\(kind.rawValue):\(path)" }

        init(_ kind: AtRiskKind, _ path: BytePath, _ title: String, isShallow: Bool = false) {
            self.kind = kind
            self.path = path
            self.title = title
            self.isShallow = isShallow
        }
    }

    /// What is the same for all files of a directory.
    struct Context {
        let directory: BytePath
        /// The key of every file in it, when its place alone decides.
        let whole: Key?
        /// The site directory of Python packages in which it lies.
        let site: BytePath?
        /// The key of files that are nothing by their own name.
        let rest: Key
        let repository: Key?
        let home: BytePath?
        /// Places of single files in it, such as tokens, by name.
        let files: [[UInt8]: KnownLocation]
    }

    private let places: [KnownLocation]
    private let files: [BytePath: [[UInt8]: KnownLocation]]
    private let homes: [BytePath]
    private let records: PackageRecords
    private let repositories: Set<BytePath>
    private var environments: Set<BytePath> = []

    /// - Parameters:
    ///   - changed: the files to sort.
    ///   - known: where tools keep data.
    ///   - repositories: directories that hold `.git`.
    init(
        changed: ChangedFiles, known: [KnownLocation], homes: [BytePath], records: PackageRecords,
        repositories: Set<BytePath> = []
    ) {
        // The longest path first: the innermost place decides.
        places = known.sorted { ($0.path.bytes.count, $1.path) > ($1.path.bytes.count, $0.path) }
        files = Dictionary(grouping: known, by: \.path.parent).mapValues { places in
            Dictionary(places.map { ($0.path.lastComponent.bytes, $0) }, uniquingKeysWith: { first, _ in first })
        }
        self.homes = homes
        self.records = records
        self.repositories = repositories
        for directory in changed.directories where directory.contains("pyvenv.cfg".utf8) {
            environments.insert(directory.path)
        }
    }

    /// What a directory says of its files.
    func context(of directory: BytePath) -> Context {
        let around = Self.ancestors(of: directory) + [directory]
        let repository = around.last(where: repositories.contains).map {
            Key(.code, $0, "git repository \($0.lastComponent)")
        }
        let home = homes.filter { directory.isWithin($0) }.max { $0.bytes.count < $1.bytes.count }
        let components = directory.components
        let site = components.lastIndex {
            $0.elementsEqual("site-packages".utf8) || $0.elementsEqual("dist-packages".utf8)
        }.map { components[...$0].reduce(BytePath.root) { $0.appending($1) } }
        return Context(
            directory: directory,
            whole: hub(directory) ?? place(directory, around) ?? environment(around) ?? checkpoints(directory),
            site: site, rest: repository ?? other(directory, home), repository: repository, home: home,
            files: files[directory] ?? [:])
    }

    /// What a file belongs to.
    func key(for name: ArraySlice<UInt8>, in context: Context) -> Key {
        // A file with a place of its own, such as a token, lies deeper than the place around it.
        if !context.files.isEmpty, let place = context.files[Array(name)] {
            return settings(place) ?? Key(place.kind, place.path, place.title)
        }
        return context.whole ?? package(name, context) ?? secret(name, context) ?? data(name, context.directory)
            ?? context.repository ?? notebook(name, context.directory) ?? dotfile(name, context) ?? context.rest
    }

    /// `hub/models--ORG--NAME/...` and its locks in `hub/.locks/models--ORG--NAME` (the layout of huggingface_hub).
    private func hub(_ directory: BytePath) -> Key? {
        let components = directory.components
        for (index, component) in components.enumerated() where component.contains(UInt8(ascii: "-")) {
            let name = String(decoding: component, as: UTF8.self)
            let types = ["models--": "", "datasets--": " (dataset)", "spaces--": " (space)"]
            guard let type = types.first(where: { name.hasPrefix($0.key) }) else { continue }
            var above = components[..<index]
            if above.last?.elementsEqual(".locks".utf8) == true { above.removeLast() }
            let cache = above.reduce(BytePath.root) { $0.appending($1) }
            // Organisation and name are joined by two dashes, which repository ids may not contain themselves.
            let title = Self.replacing("--", in: String(name.dropFirst(type.key.count)))
            return Key(.hubRepository, cache.appending(component), title + type.value)
        }
        return nil
    }

    private func place(_ directory: BytePath, _ around: [BytePath]) -> Key? {
        guard let place = places.first(where: { directory.isWithin($0.path) }) else { return nil }
        // Where a tool keeps environments each of them is a group.
        if place.kind == .virtualEnvironment || place.kind == .conda, let environment = environment(around) {
            return environment
        }
        if let settings = settings(place) { return settings }
        if place.kind == .preparedDatasets {
            // One group a dataset: the first directory below the cache.
            let names = directory.components
            let depth = place.path.components.count
            if names.count > depth {
                let name = String(decoding: names[depth], as: UTF8.self)
                return Key(.preparedDatasets, place.path.appending(names[depth]), Self.replacing("___", in: name))
            }
        }
        return Key(place.kind, place.path, place.title)
    }

    /// All settings of a home directory are one group, wherever in it they lie.
    private func settings(_ place: KnownLocation) -> Key? {
        guard place.kind == .dotfile,
            let home = homes.filter({ place.path.isWithin($0) }).max(by: { $0.bytes.count < $1.bytes.count })
        else { return nil }
        return Key(.dotfile, home, "settings in \(home)")
    }

    private func environment(_ around: [BytePath]) -> Key? {
        if let root = around.first(where: environments.contains) {
            return Key(.virtualEnvironment, root, "virtual environment \(root.lastComponent)")
        }
        if let root = around.first(where: records.newCondas.contains) {
            return Key(.conda, root, "conda environment \(root.lastComponent)")
        }
        return nil
    }

    private func package(_ name: ArraySlice<UInt8>, _ context: Context) -> Key? {
        guard
            context.site != nil || !records.pythonFiles.isEmpty || !records.distributionFiles.isEmpty
                || !records.condaFiles.isEmpty
        else { return nil }
        let path = context.directory.appending(name)
        if let prefix = records.condaFiles[path] { return conda(prefix) }
        if !records.distributionFiles.contains(path) {
            if let site = context.site ?? records.pythonFiles[path] { return python(site) }
            let isAlternative = !records.distribution.isEmpty && path.isWithin("/etc/alternatives")
            guard isAlternative else { return nil }
        }
        return distribution()
    }

    /// The group of the distribution's packages.
    func distribution() -> Key {
        Key(
            .distributionPackages, "/var/lib/dpkg",
            Self.list(
                records.distribution.sorted().map(\.text), one: "package of the distribution",
                many: "packages of the distribution"))
    }

    /// The group of the Python packages in a site directory.
    func python(_ site: BytePath) -> Key {
        let names = records.python[site, default: []].sorted().map(\.text)
        let title = names.isEmpty ? "files in \(site)" : Self.list(names, one: "pip package", many: "pip packages")
        return Key(.pipPackages, site, title)
    }

    /// The group of changed packages in a conda environment of the image.
    func conda(_ prefix: BytePath) -> Key {
        let names = records.conda[prefix, default: []].sorted().map(\.text)
        let title =
            names.isEmpty ? "files in \(prefix)" : Self.list(names, one: "conda package", many: "conda packages")
        return Key(.conda, prefix, title)
    }

    /// Everything below `checkpoint-...`, as trainers name them.
    private func checkpoints(_ directory: BytePath) -> Key? {
        let components = directory.components
        guard let index = components.lastIndex(where: { $0.starts(with: "checkpoint-".utf8) && $0.count > 11 }),
            index > 0
        else { return nil }
        let parent = components[..<index].reduce(BytePath.root) { $0.appending($1) }
        return Key(.checkpoint, parent, "checkpoints in \(parent)")
    }

    /// Weights and training data, by their names.
    private func data(_ name: ArraySlice<UInt8>, _ directory: BytePath) -> Key? {
        func ends(_ endings: [String]) -> Bool {
            endings.contains { name.count > $0.utf8.count && name.suffix($0.utf8.count).elementsEqual($0.utf8) }
        }
        if ends([".safetensors", ".pt", ".pth", ".ckpt", ".gguf"]) {
            return Key(.checkpoint, directory, "weights in \(directory)", isShallow: true)
        }
        if ends([".parquet", ".arrow", ".tfrecord", ".npy", ".npz", ".jsonl", ".jsonl.gz", ".jsonl.zst"]) {
            return Key(.dataset, directory, "data in \(directory)", isShallow: true)
        }
        return nil
    }

    /// Keys and tokens by their names, one group each: named, never shown.
    private func secret(_ name: ArraySlice<UInt8>, _ context: Context) -> Key? {
        let names = [
            ".env", ".netrc", ".git-credentials", ".pgpass", "id_rsa", "id_ecdsa", "id_ed25519", "kaggle.json",
        ]
        guard let first = name.first,
            first == UInt8(ascii: ".") || first == UInt8(ascii: "i") || first == UInt8(ascii: "k"),
            names.contains(where: { name.elementsEqual($0.utf8) })
        else { return nil }
        let path = context.directory.appending(name)
        return Key(.secret, path, "\(path.lastComponent) in \(context.directory)")
    }

    private func notebook(_ name: ArraySlice<UInt8>, _ directory: BytePath) -> Key? {
        guard name.suffix(6).elementsEqual(".ipynb".utf8) else { return nil }
        let owner = directory.lastComponent == ".ipynb_checkpoints" ? directory.parent : directory
        return Key(.notebook, owner, "notebooks in \(owner)")
    }

    private func dotfile(_ name: ArraySlice<UInt8>, _ context: Context) -> Key? {
        guard let home = context.home else { return nil }
        let below = context.directory.components.dropFirst(home.components.count)
        let isSetting = below.first.map { $0.elementsEqual(".config".utf8) } ?? (name.first == UInt8(ascii: "."))
        return isSetting ? Key(.dotfile, home, "settings in \(home)") : nil
    }

    private func other(_ directory: BytePath, _ home: BytePath?) -> Key {
        let depth: Int
        if let home {
            depth = home.components.count + 1
        } else {
            // Trees of many owners are split one level further.
            depth =
                ["/usr", "/var", "/opt", "/mnt", "/data", "/home", "/srv"].contains { directory.isWithin($0) } ? 2 : 1
        }
        let path = directory.components.prefix(depth).reduce(BytePath.root) { $0.appending($1) }
        return Key(.other, path, "files in \(path)", isShallow: path.components.count < depth)
    }

    /// `2 things: a, b`; at most eight are named.
    static func list(_ names: [String], one: String, many: String) -> String {
        let shown = names.prefix(8).joined(separator: ", ") + (names.count > 8 ? ", …" : "")
        return "\(names.count) \(names.count == 1 ? one : many): \(shown)"
    }

    /// The directories above a path, the outermost first, without the root directory.
    static func ancestors(of path: BytePath) -> [BytePath] {
        var result: [BytePath] = []
        var current = BytePath.root
        for component in path.components.dropLast() {
            current = current.appending(component)
            result.append(current)
        }
        return result
    }

    /// `org/name` for the file names that stand for it: `org--name` of the hub, `org___name` of `datasets`.
    private static func replacing(_ mark: String, in name: String) -> String {
        guard let range = name.firstRange(of: mark) else { return name }
        return "\(name[..<range.lowerBound])/\(name[range.upperBound...])"
    }
}
