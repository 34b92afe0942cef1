/// What the configuration says about mounts: it overrides the built-in table.
public struct SiteRule: Sendable, Equatable {
    /// The mount point; a name `*` stands for any one name, as in `/mnt/*`.
    public let mountPoint: BytePath
    /// File system types for which the rule holds; empty for all.
    public let filesystems: Set<String>
    /// The lifetime of data there.
    public let lifetime: Lifetime
    /// One clause for a person: why.
    public let reason: String

    /// Makes a rule.
    public init(mountPoint: BytePath, filesystems: Set<String> = [], lifetime: Lifetime, reason: String) {
        self.mountPoint = mountPoint
        self.filesystems = filesystems
        self.lifetime = lifetime
        self.reason = reason
    }

    func matches(_ mount: Mount) -> Bool {
        (filesystems.isEmpty || filesystems.contains(mount.filesystem)) && mount.mountPoint.matches(pattern: mountPoint)
    }
}

extension BytePath {
    /// True when the path has the names of `pattern`, in which `*` stands for any one name.
    public func matches(pattern: BytePath) -> Bool {
        let (names, wanted) = (components, pattern.components)
        return names.count == wanted.count
            && zip(names, wanted).allSatisfy { $0.elementsEqual($1) || $1.elementsEqual("*".utf8) }
    }
}

/// Says how long data under each mount lives, from the mount table alone: it opens and touches nothing.
///
/// A wrong "survives" loses someone's work, so a set-up that could be either is `unknown`.
public struct MountClassifier: Sendable {
    private let siteRules: [SiteRule]
    private let isKubernetes: Bool
    /// The devices that hold the files which the kubelet or the runtime binds into every container; empty when those are
    /// not on a disk.
    private let nodeDevices: Set<Mount.Device>

    /// Looks for the runtime's own files in the table.
    ///
    /// - Parameters:
    ///   - siteRules: what the configuration says; the first that matches wins over the table.
    ///   - isKubernetes: true when KUBERNETES_SERVICE_HOST is set; found out from the mounts too.
    public init(_ table: MountTable, siteRules: [SiteRule] = [], isKubernetes: Bool = false) {
        self.siteRules = siteRules
        // The kubelet's files first: on Docker and containerd nodes they may lie on another disk than the runtime's.
        let runtimeFiles: [BytePath] = ["/dev/termination-log", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"]
        let carriers = table.mounts.filter { runtimeFiles.contains($0.mountPoint) && FilesystemKind($0) == .block }
        nodeDevices = Set(carriers.map(\.device))
        self.isKubernetes =
            isKubernetes
            || table.mounts.contains {
                $0.mountPoint == "/dev/termination-log" || $0.mountPoint.isWithin("/run/secrets/kubernetes.io")
                    || $0.mountPoint.isWithin("/var/run/secrets/kubernetes.io")
            }
    }

    /// The lifetime of data under a mount.
    public func classify(_ mount: Mount) -> Classification {
        if let rule = siteRules.first(where: { $0.matches(mount) }) {
            return Classification(rule.lifetime, .certain, rule.reason)
        }
        guard let rule = MountRule.table.first(where: { $0.conditions.allSatisfy { holds($0, for: mount) } }) else {
            return Classification(
                .unknown, .probable, "the file system type \(BytePath(mount.filesystem)) is not known here")
        }
        return Classification(rule.lifetime, rule.confidence, rule.reason, isVolumeTrap: rule.isVolumeTrap)
    }

    /// The lifetime of a path that no mount of the table owns.
    static let unowned = Classification(.unknown, .probable, "no mount of this process's mount table owns the path")

    private func holds(_ condition: MountRule.Condition, for mount: Mount) -> Bool {
        switch condition {
        case .kind(let kinds): kinds.contains(FilesystemKind(mount))
        case .type(let types): types.contains(mount.filesystem)
        case .mountPoint(let points): points.contains(mount.mountPoint)
        case .below(let directories): directories.contains { mount.mountPoint.isWithin($0) }
        case .rootDirectory(let names): mount.root.names.contains { names.contains($0) }
        case .rootDirectoryPrefix(let prefix): mount.root.names.contains { $0.hasPrefix(prefix) }
        case .rootIsWhole: mount.root == .root
        case .rootIsDeleted: mount.root.bytes.suffix(9).elementsEqual("//deleted".utf8)
        case .namedVolume(let anonymous): Self.volumeName(mount.root).map { Self.isAnonymous($0) == anonymous } ?? false
        case .readOnly: mount.isReadOnly
        case .option(let name): mount.hasOption(name)
        case .superOption(let name): mount.hasSuperOption(name)
        case .onNodeDisk(let expected): !nodeDevices.isEmpty && nodeDevices.contains(mount.device) == expected
        case .kubernetes: isKubernetes
        case .not(let condition): !holds(condition, for: mount)
        }
    }

    private static func volumeName(_ root: BytePath) -> String? {
        let names = root.names
        guard let data = names.lastIndex(of: "_data"), data >= 2, names[data - 2] == "volumes" else { return nil }
        return names[data - 1]
    }

    private static func isAnonymous(_ name: String) -> Bool { name.count == 64 && name.allSatisfy(\.isHexDigit) }
}
