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

        /// Options, all with their real defaults.
        public init(
            procRoot: String = "/proc", probe: StorageProbe? = StorageProbe(), expected: [ExpectedVolume] = [],
            siteRules: [SiteRule] = [], workingDirectory: BytePath = PathResolution.workingDirectory(),
            isKubernetes: Bool? = nil, volumeParent: BytePath = "/mnt"
        ) {
            self.procRoot = procRoot
            self.probe = probe
            self.expected = expected
            self.siteRules = siteRules
            self.workingDirectory = workingDirectory
            self.isKubernetes = isKubernetes
            self.volumeParent = volumeParent
        }
    }

    /// What is known of one path.
    public struct Path: Sendable {
        /// The path as it was asked for.
        public let requested: BytePath
        /// Where it leads.
        public let resolved: BytePath
        /// Whether it exists; nil when that cannot be told.
        public let exists: Bool?
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
    /// The volumes, by mount point.
    public let volumes: [Volume]
    /// What gathering depended on.
    public let options: Options

    /// Reads the mounts, finds the volumes and asks each for its size. Blocks for at most the probe's deadline and a little.
    ///
    /// - Throws: ``LinuxError`` when mountinfo cannot be read.
    public static func gather(_ options: Options = Options()) throws(LinuxError) -> StorageFacts {
        let (table, errors) = try MountTable.read(procRoot: options.procRoot)
        let classifier = MountClassifier(
            table, siteRules: options.siteRules,
            isKubernetes: options.isKubernetes ?? (getenv("KUBERNETES_SERVICE_HOST") != nil))
        let finder = VolumeFinder(table, classifier: classifier)
        let directories =
            table.owner(of: options.volumeParent).map(FilesystemKind.mayHang) == false
            ? Self.subdirectories(of: options.volumeParent) : []
        var volumes = finder.volumes(expected: options.expected, directories: directories)
        if let probe = options.probe { volumes = Self.measure(volumes, with: probe) }
        return StorageFacts(table: table, errors: errors, classifier: classifier, volumes: volumes, options: options)
    }

    /// The lifetime of a path. Blocks for at most the probe's deadline when the path enters a mount that may hang.
    ///
    /// - Throws: ``PathResolution/Failure`` for a loop of links.
    public func path(_ requested: BytePath) throws(PathResolution.Failure) -> Path {
        let resolution = try PathResolution(of: requested, relativeTo: options.workingDirectory, in: table)
        var resolved = resolution.resolved
        var exists = resolution.exists
        if resolution.isUnexplored, let probe = options.probe, let mount = table.owner(of: resolved),
            case .answered(let target) = probe.target(of: resolved, enteringAt: mount)
        {
            resolved = target.resolved
            exists = target.exists
        }
        let mount = table.owner(of: resolved)
        return Path(
            requested: requested, resolved: resolved, exists: exists, mount: mount,
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
