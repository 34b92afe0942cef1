import LinuxKit
import Storage

/// Sums the changed files into groups.
struct Sorting {
    private let options: AtRiskScan.Options
    private let changed: ChangedFiles
    private let repositories: Set<BytePath>
    private let layerStart: FileStatus.Time?
    private let records: PackageRecords
    private let grouping: Grouping

    init(
        _ options: AtRiskScan.Options, _ changed: ChangedFiles, _ repositories: Set<BytePath>,
        layerStart: FileStatus.Time?
    ) {
        self.options = options
        self.changed = changed
        self.layerStart = layerStart
        // A worktree or submodule has a file of this name.
        self.repositories = repositories.union(
            changed.directories.lazy.filter { $0.contains(".git".utf8) }.map(\.path))
        records = PackageRecords(changed: changed, image: options.image, onDisk: options.walk.onDisk)
        grouping = Grouping(
            changed: changed, known: options.known, homes: options.homes, records: records,
            repositories: self.repositories)
    }

    private struct Sum {
        var bytes: UInt64 = 0
        var files = 0
        var paths: [BytePath] = []
        var lifetime: Lifetime

        mutating func add(_ path: () -> BytePath, _ count: UInt64, _ lifetime: Lifetime, isListed: Bool) {
            bytes += count
            files += 1
            if isListed { paths.append(path()) }
            // A group that spans two lifetimes is as short-lived as the shorter.
            if lifetime == .container { self.lifetime = .container }
        }
    }

    /// The groups, the largest first.
    func groups() -> [AtRiskScan.Group] {
        var sums: [Grouping.Key: Sum] = [:]
        // Sources that are the image's, for their byte code, which lies below them and so comes later.
        var sources: Set<BytePath> = []
        var content = layerStart.map { since in
            ImageContent(
                since: since, image: options.image, onDisk: options.walk.onDisk, isChanged: changed.contains)
        }
        for directory in changed.directories where !NotTheUsers.coversTree(directory.path, own: options.own) {
            let context = grouping.context(of: directory.path)
            let mayCover = NotTheUsers.mayCoverFiles(in: directory.path, own: options.own)
            let isSystem = ImageContent.isSystem(directory.path)
            directory.forEach { name, bytes in
                // A further name of a file that is counted already.
                if bytes == nil && !options.listsFiles { return }
                let path = { directory.path.appending(name) }
                if mayCover,
                    NotTheUsers.covers(
                        path(), own: options.own, isChanged: { changed.contains($0) && !sources.contains($0) })
                {
                    return
                }
                let key = grouping.key(for: name, in: context)
                let mayBeImage =
                    key.kind == .pipPackages || (isSystem && (key.kind == .other || key.kind == .distributionPackages))
                if mayBeImage, content?.covers(path(), in: key.kind == .pipPackages ? key.path : nil) == true {
                    if name.suffix(3).elementsEqual(".py".utf8) { sources.insert(path()) }
                    return
                }
                guard let bytes else {
                    sums[key, default: Sum(lifetime: directory.lifetime)].paths.append(path())
                    return
                }
                sums[key, default: Sum(lifetime: directory.lifetime)].add(
                    path, bytes, directory.lifetime, isListed: options.listsFiles)
            }
        }
        // What was only removed leaves no file.
        let removals =
            records.python.keys.map(grouping.python) + records.conda.keys.map(grouping.conda)
            + (records.distribution.isEmpty ? [] : [grouping.distribution()])
        for key in removals
        where sums[key] == nil && isAsked(key.path) && changes(of: key).contains(where: { $0.new == nil }) {
            sums[key] = Sum(lifetime: .container)
        }
        // Who stopped the walk does not want to wait for git.
        let deadline = ContinuousClock.now + .milliseconds(options.walk.isCancelled() ? 0 : options.gitMilliseconds)
        return sums.sorted { $0.key.path < $1.key.path }.map { group($0.key, $0.value, git: deadline) }.sorted {
            ($1.bytes, $0.id) < ($0.bytes, $1.id)
        }
    }

    private func isAsked(_ path: BytePath) -> Bool {
        options.paths.isEmpty || options.paths.contains { path.isWithin($0) }
    }

    private func changes(of key: Grouping.Key) -> Set<PackageChange> {
        switch key.kind {
        case .pipPackages: records.python[key.path, default: []]
        case .distributionPackages: records.distribution
        case .conda: records.conda[key.path, default: []]
        default: []
        }
    }

    private func group(_ key: Grouping.Key, _ sum: Sum, git deadline: ContinuousClock.Instant) -> AtRiskScan.Group {
        var key = key
        if key.kind == .code, repositories.contains(key.path) {
            let left = deadline - .now
            let milliseconds =
                Int(left.components.seconds * 1000) + Int(left.components.attoseconds / 1_000_000_000_000_000)
            let work = milliseconds > 0 ? GitWork.of(options.walk.onDisk(key.path), milliseconds: milliseconds) : nil
            if let work, !work.isEmpty {
                key = Grouping.Key(.unpushedCommits, key.path, "\(key.title): \(work.text)")
            } else if work != nil {
                key = Grouping.Key(.code, key.path, "\(key.title): all pushed")
            }
        }
        return AtRiskScan.Group(
            id: key.id, kind: key.kind, title: TerminalText.escape(key.title),
            path: key.path,
            lifetime: sum.lifetime, bytes: sum.bytes, files: sum.files,
            fix: Rescue.fix(for: key, packages: changes(of: key).sorted(), volume: options.volume),
            isShallow: key.isShallow, paths: sum.paths)
    }
}
