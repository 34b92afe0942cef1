import Storage

/// Sorts changed files into what they are to the user. Pure but for the package records it is given.
struct Grouping {
    /// What a file belongs to.
    struct Key: Hashable {
        let kind: AtRiskKind
        let path: BytePath
        let title: String
        /// True when everything below ``path`` belongs to the group, so that the directory can be copied whole.
        let isWhole: Bool
        /// True when only files directly in ``path`` belong to the group.
        let isShallow: Bool

        init(_ kind: AtRiskKind, _ path: BytePath, _ title: String, isWhole: Bool = false, isShallow: Bool = false) {
            self.kind = kind
            self.path = path
            self.title = title
            self.isWhole = isWhole
            self.isShallow = isShallow
        }
    }

    private let known: [KnownLocation]
    private let homes: [BytePath]
    private let records: PackageRecords
    private var environments: Set<BytePath> = []
    private var condas: Set<BytePath> = []
    private var repositories: Set<BytePath> = []

    init(changed: some Sequence<BytePath>, known: [KnownLocation], homes: [BytePath], records: PackageRecords) {
        // The longest path first: the innermost place decides.
        self.known = known.sorted { ($0.path.bytes.count, $1.path) > ($1.path.bytes.count, $0.path) }
        self.homes = homes
        self.records = records
        for path in changed {
            if path.lastComponent == "pyvenv.cfg" { environments.insert(path.parent) }
            if path.parent.lastComponent == "conda-meta" { condas.insert(path.parent.parent) }
            if path.lastComponent == "HEAD", path.parent.lastComponent == ".git" {
                repositories.insert(path.parent.parent)
            }
        }
    }

    func key(for path: BytePath) -> Key {
        let ancestors = Self.ancestors(of: path)
        return hub(path) ?? place(path) ?? environment(ancestors) ?? package(path) ?? checkpoint(path) ?? source(
            path, ancestors)
            ?? dotfile(path) ?? other(path)
    }

    /// `hub/models--ORG--NAME/...` and its locks in `hub/.locks/models--ORG--NAME` (the layout of huggingface_hub).
    private func hub(_ path: BytePath) -> Key? {
        let components = path.components
        for (index, component) in components.enumerated() {
            let name = String(decoding: component, as: UTF8.self)
            let types = ["models--": "", "datasets--": " (dataset)", "spaces--": " (space)"]
            guard let type = types.first(where: { name.hasPrefix($0.key) }), index + 1 < components.count else {
                continue
            }
            var above = components[..<index]
            if above.last?.elementsEqual(".locks".utf8) == true { above.removeLast() }
            let directory = above.reduce(BytePath.root) { $0.appending($1) }
            // Organisation and name are joined by two dashes, which repository ids may not contain themselves.
            let title = Self.replacing("--", in: String(name.dropFirst(type.key.count)))
            return Key(.hubRepository, directory.appending(component), title + type.value, isWhole: true)
        }
        return nil
    }

    private func place(_ path: BytePath) -> Key? {
        guard let place = known.first(where: { path.isWithin($0.path) }) else { return nil }
        if place.kind == .preparedDatasets {
            // One group a dataset: the first directory below the cache.
            let names = path.components
            let depth = place.path.components.count
            if names.count > depth + 1 {
                let directory = place.path.appending(names[depth])
                let name = String(decoding: names[depth], as: UTF8.self)
                return Key(.preparedDatasets, directory, Self.replacing("___", in: name), isWhole: true)
            }
        }
        return Key(place.kind, place.path, place.title, isWhole: true)
    }

    private func environment(_ ancestors: [BytePath]) -> Key? {
        if let root = ancestors.first(where: environments.contains) {
            return Key(.virtualEnvironment, root, "virtual environment \(root.lastComponent)", isWhole: true)
        }
        if let root = ancestors.first(where: condas.contains) {
            return Key(.conda, root, "conda environment \(root.lastComponent)")
        }
        return nil
    }

    private func package(_ path: BytePath) -> Key? {
        let components = path.components
        let site = components.lastIndex {
            $0.elementsEqual("site-packages".utf8) || $0.elementsEqual("dist-packages".utf8)
        }
        if let site, site + 1 < components.count {
            let directory = components[...site].reduce(BytePath.root) { $0.appending($1) }
            if !records.distributionFiles.contains(path) { return python(directory) }
        }
        if let directory = records.pythonFiles[path] { return python(directory) }
        if records.distributionFiles.contains(path)
            || (!records.distribution.isEmpty && path.isWithin("/etc/alternatives"))
        {
            return Key(
                .distributionPackages, "/var/lib/dpkg",
                Self.list(
                    records.distribution.sorted(), one: "package of the distribution",
                    many: "packages of the distribution"))
        }
        return nil
    }

    private func python(_ site: BytePath) -> Key {
        let names = records.python[site, default: []].sorted()
        let title = names.isEmpty ? "files in \(site)" : Self.list(names, one: "pip package", many: "pip packages")
        return Key(.pipPackages, site, title)
    }

    private func checkpoint(_ path: BytePath) -> Key? {
        let components = path.components
        if let index = components.lastIndex(where: { name in
            name.starts(with: "checkpoint-".utf8) && name.count > 11
                && name.dropFirst(11).allSatisfy { (0x30...0x39).contains($0) }
        }), index + 1 < components.count, index > 0 {
            let directory = components[..<index].reduce(BytePath.root) { $0.appending($1) }
            return Key(.checkpoint, directory, "checkpoints in \(directory)")
        }
        let endings = [".safetensors", ".pt", ".pth", ".ckpt", ".gguf"]
        guard endings.contains(where: { path.bytes.suffix($0.utf8.count).elementsEqual($0.utf8) }) else { return nil }
        return Key(.checkpoint, path.parent, "weights in \(path.parent)", isShallow: true)
    }

    private func source(_ path: BytePath, _ ancestors: [BytePath]) -> Key? {
        if let root = ancestors.last(where: repositories.contains) {
            return Key(.code, root, "git repository \(root.lastComponent)", isWhole: true)
        }
        guard path.bytes.suffix(6).elementsEqual(".ipynb".utf8) else { return nil }
        let directory = path.parent.lastComponent == ".ipynb_checkpoints" ? path.parent.parent : path.parent
        return Key(.notebook, directory, "notebooks in \(directory)")
    }

    private func dotfile(_ path: BytePath) -> Key? {
        guard let home = home(of: path) else { return nil }
        let names = path.components.dropFirst(home.components.count)
        guard let first = names.first, first.first == UInt8(ascii: ".") else { return nil }
        guard names.count == 1 || first.elementsEqual(".config".utf8) else { return nil }
        return Key(.dotfile, home, "settings in \(home)")
    }

    private func other(_ path: BytePath) -> Key {
        let depth: Int
        if let home = home(of: path) {
            depth = home.components.count + 1
        } else {
            // Trees of many owners are split one level further.
            depth = ["/usr", "/var", "/opt", "/mnt", "/data", "/home", "/srv"].contains { path.isWithin($0) } ? 2 : 1
        }
        let directory = path.components.dropLast().prefix(depth).reduce(BytePath.root) { $0.appending($1) }
        return Key(.other, directory, "files in \(directory)", isShallow: directory.components.count < depth)
    }

    private func home(of path: BytePath) -> BytePath? {
        homes.filter { path.isWithin($0) && path != $0 }.max { $0.bytes.count < $1.bytes.count }
    }

    /// `2 things: a, b`; at most eight are named.
    static func list(_ names: [String], one: String, many: String) -> String {
        let shown = names.prefix(8).joined(separator: ", ") + (names.count > 8 ? ", …" : "")
        return "\(names.count) \(names.count == 1 ? one : many): \(shown)"
    }

    /// The directories above a path, the outermost first.
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
