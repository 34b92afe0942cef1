import Glibc
public import LinuxKit
import Synchronization

/// Everything the agent knows about storage at one moment, for the report, the doctor and the environment.
///
/// Mountinfo is read and classified here; file systems that may hang are asked by ``StorageProbe`` only.
public struct StorageFacts: Sendable {
    /// What gathering depends on.
    public struct Options: Sendable {
        /// Where the proc file system is mounted.
        public var procRoot: String
        /// How to ask file systems that may hang; nil leaves sizes unknown.
        public var probe: StorageProbe?
        /// Volumes that configuration or snapshot name.
        public var expected: [ExpectedVolume]
        /// What the configuration says about mounts.
        public var siteRules: [SiteRule]
        /// Where relative paths start.
        public var workingDirectory: BytePath
        /// True in a Kubernetes pod; nil asks the environment and the mounts.
        public var isKubernetes: Bool?
        /// The directory whose subdirectories are volumes by convention.
        public var volumeParent: BytePath
        /// How much is looked at.
        public var scope: Scope

        /// Options, all with their real defaults.
        public init(
            procRoot: String = "/proc", probe: StorageProbe? = StorageProbe(), expected: [ExpectedVolume] = [],
            siteRules: [SiteRule] = [], workingDirectory: BytePath = PathResolution.workingDirectory(),
            isKubernetes: Bool? = nil, volumeParent: BytePath = "/mnt", scope: Scope = .everything
        ) {
            self.procRoot = procRoot
            self.probe = probe
            self.expected = expected
            self.siteRules = siteRules
            self.workingDirectory = workingDirectory
            self.isKubernetes = isKubernetes
            self.volumeParent = volumeParent
            self.scope = scope
        }
    }

    /// How much is looked at.
    public enum Scope: Sendable {
        /// Every mount and every volume.
        case everything
        /// Only the paths that are asked for: no volume is waited for that none of them enters.
        case pathsOnly
    }

    /// What is known of one path.
    public struct Path: Sendable {
        /// The path as it was asked for.
        public let requested: BytePath
        /// Where it leads.
        public let resolved: BytePath
        /// Whether it exists; nil when that cannot be told.
        public let exists: Bool?
        /// The path itself, or the nearest directory above it that exists, as far as is known.
        public let existing: BytePath
        /// The symbolic links on the way, in order.
        public let hops: [PathResolution.Hop]
        /// The mount that owns it.
        public let mount: Mount?
        /// How long data there lives.
        public let classification: Classification
    }

    /// The mounts.
    public let table: MountTable
    /// Lines of mountinfo that could not be read.
    public let errors: [MountInfoError]
    /// Says the lifetime of a mount.
    public let classifier: MountClassifier
    /// The visible mounts, in the kernel's order; none when only paths were looked at.
    public let visible: [ClassifiedMount]
    /// The volumes, by mount point; none when only paths were looked at.
    public let volumes: [Volume]
    /// What gathering depended on.
    public let options: Options
    /// Mounts that did not answer: nobody waits for them again.
    private let silent = SilentMounts()

    /// Reads the mounts, finds the volumes and asks each for its size. Blocks for at most the probe's deadline and a little.
    ///
    /// - Throws: ``LinuxError`` when mountinfo cannot be read.
    public static func gather(_ options: Options = Options()) throws(LinuxError) -> StorageFacts {
        let (table, errors) = try MountTable.read(procRoot: options.procRoot)
        let classifier = MountClassifier(
            table, siteRules: options.siteRules,
            isKubernetes: options.isKubernetes ?? (getenv("KUBERNETES_SERVICE_HOST") != nil))
        guard options.scope == .everything else {
            return StorageFacts(
                table: table, errors: errors, classifier: classifier, visible: [], volumes: [], options: options)
        }
        let finder = VolumeFinder(table, classifier: classifier)
        let directories =
            table.owner(of: options.volumeParent).map(FilesystemKind.mayHang) == false
            ? Self.subdirectories(of: options.volumeParent) : []
        var volumes = finder.volumes(expected: options.expected, directories: directories)
        if let probe = options.probe { volumes = Self.measure(volumes, with: probe) }
        let facts = StorageFacts(
            table: table, errors: errors, classifier: classifier, visible: finder.visible, volumes: volumes,
            options: options)
        for volume in volumes where volume.state == .stuck { volume.mount.map(facts.silent.insert) }
        return facts
    }

    /// The lifetime of a path. Blocks for at most the probe's deadline when the path enters a mount that may hang.
    ///
    /// - Throws: ``PathResolution/Failure`` for a loop of links.
    public func path(_ requested: BytePath) throws(PathResolution.Failure) -> Path {
        let resolution = try PathResolution(of: requested, relativeTo: options.workingDirectory, in: table)
        var (resolved, exists, existing) = (resolution.resolved, resolution.exists, resolution.existing)
        var hops = resolution.hops
        if resolution.isUnexplored, let probe = options.probe, let mount = table.owner(of: resolved),
            !silent.contains(mount)
        {
            switch probe.target(of: resolved, enteringAt: mount) {
            case .answered(let target):
                (resolved, exists, existing) = (target.resolved, target.exists, target.existing)
                hops += target.hops
            case .stuck: silent.insert(mount)
            case .refused, .failed: break
            }
        }
        let mount = table.owner(of: resolved)
        return Path(
            requested: requested, resolved: resolved, exists: exists, existing: existing, hops: hops, mount: mount,
            classification: mount.map(classifier.classify) ?? MountClassifier.unowned)
    }

    private static func measure(_ volumes: [Volume], with probe: StorageProbe) -> [Volume] {
        let results = Mutex<[Int: StorageProbe.Outcome<StorageProbe.Space>]>([:])
        let mounted = volumes.indices.filter { volumes[$0].state != .missing && volumes[$0].mount != nil }
        let ask: @Sendable (Int) -> Void = { index in
            guard let mount = volumes[index].mount else { return }
            let outcome = probe.space(of: mount)
            results.withLock { $0[index] = outcome }
        }
        // Each question has a thread of its own, so that several dead mounts cost one deadline and not several.
        Parallel.run(mounted.count, name: "probe") { ask(mounted[$0]) }
        var volumes = volumes
        for (index, outcome) in results.withLock({ $0 }) { volumes[index].apply(outcome) }
        return volumes
    }

    private static func subdirectories(of directory: BytePath) -> [BytePath] {
        DirectoryReader.names(in: directory).map { directory.appending($0) }.filter { path in
            path.text.flatMap { try? FileStatus($0, mode: .cached) }?.kind == .directory
        }
    }
}

/// The mounts that one look found silent, shared by the copies of its facts.
private final class SilentMounts: Sendable {
    private let mounts = Mutex<Set<UInt64>>([])

    func insert(_ mount: Mount) { mounts.withLock { _ = $0.insert(mount.id) } }
    func contains(_ mount: Mount) -> Bool { mounts.withLock { $0.contains(mount.id) } }
}
