import LinuxKit
public import Storage

/// Finds what would be lost if the pod ended now: what the user put into the writable layer and into mounts that live no
/// longer than the pod.
///
/// Blocks while it walks: run it on a dedicated thread or in the command line.
public struct AtRiskScan: Sendable {
    /// What a scan depends on.
    public struct Options: Sendable {
        /// The mounts.
        public var table: MountTable
        /// Says the lifetime of a mount.
        public var classifier: MountClassifier
        /// When the writable layer was made.
        public var layer: WritableLayer
        /// When the agent first ran.
        public var firstStart: FirstStart
        /// What setup and restore put there.
        public var baseline: Baseline
        /// Where tools keep data; the innermost one that fits decides.
        public var known: [KnownLocation]
        /// Home directories.
        public var homes: [BytePath]
        /// Directories and files of the agent itself, which are nobody's loss.
        public var own: [BytePath]
        /// The volume to which the fixes save; nil gives no fixes.
        public var volume: BytePath?
        /// Only what lies below these paths, without symbolic links; empty for everything.
        public var paths: [BytePath]
        /// How to walk.
        public var walk: TreeWalk

        /// Options for a scan.
        public init(
            table: MountTable, classifier: MountClassifier, layer: WritableLayer, firstStart: FirstStart,
            baseline: Baseline = Baseline(), known: [KnownLocation] = [], homes: [BytePath] = ["/root"],
            own: [BytePath] = Self.ownPaths, volume: BytePath? = nil, paths: [BytePath] = [],
            walk: TreeWalk = TreeWalk()
        ) {
            self.table = table
            self.classifier = classifier
            self.layer = layer
            self.firstStart = firstStart
            self.baseline = baseline
            self.known = known
            self.homes = homes
            self.own = own
            self.volume = volume
            self.paths = paths
            self.walk = walk
        }

        /// The agent's state, run-time and configuration directories.
        public static let ownPaths: [BytePath] = ["/var/lib/packet-agent", "/run/packet-agent", "/etc/packet-agent"]

        /// Options for this machine.
        ///
        /// - Parameters:
        ///   - facts: the mounts and volumes.
        ///   - stateDirectory: where ``FirstStart`` and ``Baseline`` are kept.
        public static func current(
            _ facts: StorageFacts, stateDirectory: String = "/var/lib/packet-agent", known: [KnownLocation]? = nil,
            homes: [BytePath] = ["/root"], own: [BytePath] = [], volume: BytePath? = nil, paths: [BytePath] = [],
            walk: TreeWalk = TreeWalk()
        ) -> Options {
            Options(
                table: facts.table, classifier: facts.classifier, layer: WritableLayer(facts.table),
                firstStart: FirstStart.load(stateDirectory: stateDirectory, rootMount: (try? FileStatus("/"))?.mountID),
                baseline: Baseline.load(stateDirectory: stateDirectory),
                known: known ?? KnownLocation.defaults(homes: homes),
                homes: homes, own: ownPaths + [BytePath(stateDirectory)] + own, volume: volume, paths: paths, walk: walk
            )
        }
    }

    /// A group of files.
    public struct Group: Sendable, Equatable {
        /// Stays the same between scans: kind and path.
        public let id: String
        /// What it is.
        public let kind: AtRiskKind
        /// What to call it.
        public let title: String
        /// The directory or file that holds it.
        public let path: BytePath
        /// How long it lives as it is.
        public let lifetime: Lifetime
        /// Bytes allocated on the disk, hard links counted once.
        public let bytes: UInt64
        /// Files and links, hard links counted once.
        public let files: Int
        /// A command that saves it.
        public let fix: AtRiskFix?
    }

    /// What a scan found.
    public struct Findings: Sendable, Equatable {
        /// The groups, the largest first.
        public let groups: [Group]
        /// False when something could not be looked at: there may be more.
        public let isComplete: Bool
        /// What could not be looked at, one sentence each.
        public let problems: [String]
    }

    private struct Sum {
        var bytes: UInt64 = 0
        var files = 0
        var paths: [BytePath] = []
        var lifetime: Lifetime

        init(lifetime: Lifetime) { self.lifetime = lifetime }

        mutating func add(_ entry: TreeWalk.Entry, _ lifetime: Lifetime) {
            bytes += entry.allocatedBytes
            files += 1
            if paths.count <= Rescue.listLimit { paths.append(entry.path) }
            // A group that spans two lifetimes is as short-lived as the shorter.
            if lifetime == .container { self.lifetime = .container }
        }
    }

    private struct Found {
        let entry: TreeWalk.Entry
        let lifetime: Lifetime
    }

    /// Scans.
    public static func run(_ options: Options) -> Findings {
        var found: [Found] = []
        var problems: [String] = []
        var isComplete = true
        let skip: @Sendable (BytePath) -> Bool = { options.own.contains($0) }
        func walk(_ mount: Mount, _ lifetime: Lifetime, since: FileStatus.Time?) {
            for start in starts(in: mount, options) {
                let (entries, summary) = options.walk.entries(below: start, since: since, skip: skip)
                found += entries.lazy.map { Found(entry: $0, lifetime: lifetime) }
                isComplete = isComplete && summary.isComplete && summary.unreadable.isEmpty
                if !summary.isComplete { problems.append("the walk of \(start) was not finished") }
                if let first = summary.unreadable.first {
                    problems.append("\(summary.unreadable.count) directories cannot be read, such as \(first)")
                }
            }
        }
        let root = options.table.root
        let layerStart = layerStart(options, problems: &problems)
        if let root, let layerStart {
            walk(root, .container, since: layerStart)
        } else {
            isComplete = false
        }
        var seen: Set<Whole> = []
        for mount in options.table.mounts where mount.id != root?.id && options.table.isVisible(mount) {
            let lifetime = options.classifier.classify(mount).lifetime
            guard lifetime.isLostWithPod, !mount.isReadOnly, !FilesystemKind.mayHang(mount) else { continue }
            // The same directory may be mounted twice.
            guard seen.insert(Whole(device: mount.device, root: mount.root)).inserted else { continue }
            walk(mount, lifetime, since: options.firstStart.pod)
        }
        return Findings(
            groups: groups(found, options, layerStart: layerStart), isComplete: isComplete, problems: problems)
    }

    private struct Whole: Hashable {
        let device: Mount.Device
        let root: BytePath
    }

    /// From when on changes of the root mount are the user's; nil when that cannot be told.
    private static func layerStart(_ options: Options, problems: inout [String]) -> FileStatus.Time? {
        switch options.layer {
        case .since(let born):
            return options.firstStart.container.map { max($0, born) } ?? born
        case .cannotTell(let reason):
            if let first = options.firstStart.container {
                problems.append("\(reason): only what changed since the agent's first start is known")
                return first
            }
            problems.append("\(reason): what was written to it cannot be told")
            return nil
        }
    }

    private static func starts(in mount: Mount, _ options: Options) -> [BytePath] {
        func kind(_ path: BytePath) -> FileStatus.Kind? {
            options.walk.onDisk(path).text.flatMap { try? FileStatus($0, mode: .cached) }?.kind
        }
        let wanted = options.paths.isEmpty ? [mount.mountPoint] : options.paths
        var result: [BytePath] = []
        for path in wanted {
            if mount.mountPoint.isWithin(path) {
                result.append(mount.mountPoint)
            } else if options.table.owner(of: path)?.id == mount.id {
                result.append(kind(path) == .directory ? path : path.parent)
            }
        }
        // Of two directories, one inside the other, only the outer one.
        let directories = Set(result.filter { kind($0) == .directory })
        return directories.filter { path in !directories.contains { $0 != path && path.isWithin($0) } }.sorted()
    }

    private static func groups(_ found: [Found], _ options: Options, layerStart: FileStatus.Time?) -> [Group] {
        let wanted = found.filter { item in
            !options.baseline.contains(item.entry)
                && (options.paths.isEmpty || options.paths.contains { item.entry.path.isWithin($0) })
        }
        let changed = Set(wanted.lazy.map(\.entry.path))
        let records = PackageRecords(changed: changed, onDisk: options.walk.onDisk)
        let grouping = Grouping(changed: changed, known: options.known, homes: options.homes, records: records)
        var sums: [Grouping.Key: Sum] = [:]
        var linked: Set<TreeWalk.Identity> = []
        for item in wanted {
            let entry = item.entry
            if NotTheUsers.covers(entry.path, own: options.own, isChanged: changed.contains) { continue }
            if entry.links > 1, !linked.insert(entry.identity).inserted { continue }
            let key = grouping.key(for: entry.path)
            sums[key, default: Sum(lifetime: item.lifetime)].add(entry, item.lifetime)
        }
        return sums.map { key, sum in
            let names: [String] =
                switch key.kind {
                case .pipPackages: records.python[key.path, default: []].sorted()
                case .distributionPackages: records.distribution.sorted()
                default: []
                }
            return Group(
                id: "\(key.kind.rawValue):\(key.path)", kind: key.kind, title: TerminalText.escape(key.title),
                path: key.path,
                lifetime: sum.lifetime, bytes: sum.bytes, files: sum.files,
                fix: Rescue.fix(
                    for: key, names: names, files: sum.paths,
                    since: sum.lifetime == .container ? layerStart : options.firstStart.pod,
                    volume: options.volume))
        }.sorted { ($1.bytes, $0.id) < ($0.bytes, $1.id) }
    }
}
