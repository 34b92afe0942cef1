import Glibc
import LinuxKit
public import Storage
import Synchronization

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
        /// What was installed before the user came; nil when that is not known.
        var image: ImagePackages?
        /// Where the processes are looked up; nil looks for no writers.
        public var proc: String?
        /// How long git may be asked about all repositories together, in milliseconds; 0 asks nothing.
        public var gitMilliseconds = 3000
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
        /// True to name every file of every group, in ``Group/paths``.
        public var listsFiles = false

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

        /// Reads what was installed before the user came (``FirstStart`` and ``Baseline`` keep it).
        public mutating func loadImage(stateDirectory: String) {
            image = ImagePackages.load(stateDirectory: stateDirectory)
        }

        /// False for what setup put there, and for what lies outside the paths that were asked for.
        func isWanted(_ directory: BytePath, _ name: ArraySlice<UInt8>, _ file: TreeWalk.File) -> Bool {
            if baseline.entries.isEmpty && paths.isEmpty { return true }
            let path = directory.appending(name)
            return !baseline.contains(TreeWalk.Entry(path: path, file: file))
                && (paths.isEmpty || paths.contains { path.isWithin($0) })
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
            var options = Options(
                table: facts.table, classifier: facts.classifier, layer: WritableLayer(facts.table),
                firstStart: FirstStart.load(stateDirectory: stateDirectory, rootMount: (try? FileStatus("/"))?.mountID),
                baseline: Baseline.load(stateDirectory: stateDirectory),
                known: known ?? KnownLocation.defaults(homes: homes),
                homes: homes, own: ownPaths + [BytePath(stateDirectory)] + own, volume: volume, paths: paths, walk: walk
            )
            options.loadImage(stateDirectory: stateDirectory)
            options.proc = "/proc"
            return options
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
        /// True when only files directly in ``path`` belong to it.
        public let isShallow: Bool
        /// Its files, every name of each, when they were asked for.
        public let paths: [BytePath]

        /// Describes a group.
        public init(
            id: String, kind: AtRiskKind, title: String, path: BytePath, lifetime: Lifetime, bytes: UInt64, files: Int,
            fix: AtRiskFix?, isShallow: Bool = false, paths: [BytePath] = []
        ) {
            self.id = id
            self.kind = kind
            self.title = title
            self.path = path
            self.lifetime = lifetime
            self.bytes = bytes
            self.files = files
            self.fix = fix
            self.isShallow = isShallow
            self.paths = paths
        }
    }

    /// What a scan found.
    public struct Findings: Sendable, Equatable {
        /// The groups, the largest first.
        public let groups: [Group]
        /// Processes that write large files where they do not survive the pod, the largest file first.
        public var writers: [LiveWriter] = []
        /// Bytes that count against the pod's limit of ephemeral storage, whoever wrote them; nil when only some paths were
        /// asked for, or the writable layer cannot be told from the image.
        public var ephemeralBytes: UInt64?
        /// True when the user stopped the scan: the groups are what was found until then.
        public var isPartial = false
        /// False when something could not be looked at: there may be more.
        public let isComplete: Bool
        /// What could not be looked at, one sentence each.
        public let problems: [String]

        /// Describes what was found.
        public init(
            groups: [Group], writers: [LiveWriter] = [], ephemeralBytes: UInt64? = nil, isPartial: Bool = false,
            isComplete: Bool, problems: [String]
        ) {
            self.groups = groups
            self.writers = writers
            self.ephemeralBytes = ephemeralBytes
            self.isPartial = isPartial
            self.isComplete = isComplete
            self.problems = problems
        }
    }

    /// Scans.
    public static func run(_ options: Options) -> Findings {
        let found = Mutex(Found())
        var problems: [String] = []
        var isComplete = true
        let skip: @Sendable (BytePath) -> Bool = { path in
            if path.bytes.suffix(5).elementsEqual("/.git".utf8) {
                found.withLock { _ = $0.repositories.insert(path.parent) }
            }
            return options.own.contains(path)
        }
        func walk(_ mount: Mount, _ lifetime: Lifetime, born: FileStatus.Time?, since: FileStatus.Time?) {
            let counts = EphemeralUse.counts(mount)
            for start in starts(in: mount, options) {
                // Who stopped one walk wants none of the others.
                guard !options.walk.isCancelled() else {
                    isComplete = false
                    return
                }
                // A repository may begin above the paths that were asked for.
                for directory in Grouping.ancestors(of: start) where options.table.owner(of: directory)?.id == mount.id
                {
                    let git = options.walk.onDisk(directory.appending(".git"))
                    if let text = git.text, (try? FileStatus(text, mode: .cached)) != nil {
                        found.withLock { _ = $0.repositories.insert(directory) }
                    }
                }
                let summary = options.walk.visit(below: start, since: born, skip: skip) { listing in
                    found.withLock { found in
                        if counts { found.ephemeral.add(listing) }
                        found.changed.add(listing, lifetime) { name, file in
                            since.map { file.changed >= $0 } != false
                                && options.isWanted(listing.directory, name, file)
                        }
                    }
                }
                isComplete = isComplete && summary.isComplete && summary.unreadable.isEmpty
                if !summary.isComplete { problems.append("the walk of \(start) was not finished") }
                if let first = summary.unreadable.first {
                    let count = summary.unreadable.count
                    problems.append(
                        count == 1
                            ? "the directory \(first) cannot be read"
                            : "\(count) directories cannot be read, such as \(first)")
                }
            }
        }
        let root = options.table.root
        let layerStart = layerStart(options, problems: &problems)
        if let root, let layerStart {
            walk(root, .container, born: options.layer.start ?? layerStart, since: layerStart)
        } else {
            isComplete = false
        }
        var seen: Set<Whole> = []
        for mount in options.table.mounts where mount.id != root?.id && options.table.isVisible(mount) {
            let lifetime = options.classifier.classify(mount).lifetime
            guard lifetime.isLostWithPod, !mount.isReadOnly, !FilesystemKind.mayHang(mount) else { continue }
            // The same directory may be mounted twice.
            guard seen.insert(Whole(device: mount.device, root: mount.root)).inserted else { continue }
            walk(mount, lifetime, born: nil, since: options.firstStart.pod)
        }
        let sorting = found.withLock { found in
            found.changed.countLinksOnce()
            return Sorting(options, found.changed, found.repositories, layerStart: layerStart)
        }
        let isWhole = options.paths.isEmpty && options.layer.start != nil
        return Findings(
            groups: sorting.groups(), writers: writers(options),
            ephemeralBytes: isWhole ? found.withLock { $0.ephemeral.bytes } : nil,
            isPartial: !isComplete && options.walk.isCancelled(), isComplete: isComplete, problems: problems)
    }

    private struct Found {
        var changed = ChangedFiles()
        var ephemeral = EphemeralUse()
        /// Directories that hold `.git`.
        var repositories: Set<BytePath> = []
    }

    private static func writers(_ options: Options) -> [LiveWriter] {
        guard let proc = options.proc else { return [] }
        let found = LiveWriters(
            processes: ProcessTable(proc: proc), mounts: options.table, classifier: options.classifier, own: options.own
        ).find(excluding: getpid())
        return found.filter { writer in
            options.paths.isEmpty || options.paths.contains { writer.path.isWithin($0) }
        }
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
}
