/// What the configuration says about mounts: it overrides the built-in table.
public struct SiteRule: Sendable, Equatable {
    /// The mount point; a name `*` stands for any one name, as in `/mnt/*`, and a last name `**` for this directory and
    /// everything below it.
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
    /// True when the path has the names of `pattern`, in which `*` stands for any one name and `**` at the end for any
    /// number of names, none included.
    public func matches(pattern: BytePath) -> Bool {
        var (names, wanted) = (components[...], pattern.components[...])
        if wanted.last?.elementsEqual("**".utf8) == true {
            wanted = wanted.dropLast()
            guard names.count >= wanted.count else { return false }
            names = names.prefix(wanted.count)
        }
        return names.count == wanted.count
            && zip(names, wanted).allSatisfy { $0.elementsEqual($1) || $1.elementsEqual("*".utf8) }
    }
}

/// Says how long data under each mount lives, from the mount table alone: it opens and touches nothing.
///
/// A wrong "survives" loses someone's work, so a set-up that could be either is `unknown`.
public struct MountClassifier: Sendable {
    private let siteRules: [SiteRule]
    private let isContainer: Bool
    /// The devices that hold the files which the kubelet or the runtime binds into every container; empty when those are
    /// not on a disk.
    private let nodeDevices: Set<Mount.Device>

    private struct Format: Hashable {
        let kind: FilesystemKind
        let type: String
    }
    /// The rows that can hold for each type in the table, so that a mount is not asked fifty times for its type.
    private let rows: [Format: [MountRule]]

    private static let runtimeFiles: [BytePath] = [
        "/dev/termination-log", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
    ]
    private static let containerFiles: [BytePath] = runtimeFiles + ["/run/.containerenv", "/.dockerenv"]
    private static let kubernetesSecrets: [BytePath] = [
        "/run/secrets/kubernetes.io", "/var/run/secrets/kubernetes.io",
    ]

    /// Looks for the runtime's own files in the table.
    ///
    /// - Parameters:
    ///   - siteRules: what the configuration says; the first that matches wins over the table.
    ///   - isKubernetes: true when KUBERNETES_SERVICE_HOST is set; found out from the mounts too.
    public init(_ table: MountTable, siteRules: [SiteRule] = [], isKubernetes: Bool = false) {
        var nodeDevices: Set<Mount.Device> = []
        var isContainer = isKubernetes
        var rows: [Format: [MountRule]] = [:]
        var format: Format?
        for mount in table.mounts {
            // The kind follows from the type, except for plain `fuse`, whose source tells it.
            if mount.filesystem != format?.type || mount.filesystem == "fuse" {
                let next = Format(kind: FilesystemKind(mount), type: mount.filesystem)
                if rows[next] == nil { rows[next] = LifetimeTable.rows(for: next.kind, next.type) }
                format = next
            }
            if Self.containerFiles.contains(mount.mountPoint) {
                isContainer = true
                // The kubelet's files and the runtime's may lie on different disks of the node: both count.
                if format?.kind == .block, Self.runtimeFiles.contains(mount.mountPoint) {
                    nodeDevices.insert(mount.device)
                }
            } else if Self.kubernetesSecrets.contains(where: mount.mountPoint.isWithin) {
                isContainer = true
            }
        }
        self.siteRules = siteRules
        self.nodeDevices = nodeDevices
        self.isContainer = isContainer
        self.rows = rows
    }

    /// The lifetime of data under a mount.
    public func classify(_ mount: Mount) -> Classification {
        if let rule = siteRules.first(where: { $0.matches(mount) }) {
            return Classification(rule.lifetime, .certain, rule.reason)
        }
        let format = Format(kind: FilesystemKind(mount), type: mount.filesystem)
        // A mount of another table may be of a type that this one does not have.
        let rows = rows[format] ?? LifetimeTable.rows(for: format.kind, format.type)
        for row in rows where row.conditions.allSatisfy({ holds($0, for: mount, format) }) { return row.verdict }
        return Classification(
            .unknown, .probable, "the file system type \(BytePath(mount.filesystem)) is not known here")
    }

    /// The lifetime of a path that no mount of the table owns.
    static let unowned = Classification(.unknown, .probable, "no mount of this process's mount table owns the path")

    private func holds(_ condition: MountRule.Condition, for mount: Mount, _ format: Format) -> Bool {
        switch condition {
        case .kind(let kinds): kinds.contains(format.kind)
        case .type(let types): types.contains(format.type)
        case .source(let prefixes): prefixes.contains { mount.source.bytes.starts(with: $0.utf8) }
        case .mountPoint(let points): points.contains(mount.mountPoint)
        case .below(let directories): directories.contains(where: mount.mountPoint.isWithin)
        case .plugin(let names): Self.plugin(mount.root).map { names.isEmpty || names.contains($0) } ?? false
        case .rootIsWhole: mount.root == .root
        case .rootIsDeleted: mount.root.bytes.suffix(9).elementsEqual("//deleted".utf8)
        case .namedVolume(let anonymous): Self.volumeName(mount.root).map { Self.isAnonymous($0) == anonymous } ?? false
        case .readOnly: mount.isReadOnly
        case .option(let name): mount.hasOption(name)
        case .superOption(let name): mount.hasSuperOption(name)
        case .onNodeDisk(let expected): !nodeDevices.isEmpty && nodeDevices.contains(mount.device) == expected
        case .container: isContainer
        case .not(let condition): !holds(condition, for: mount, format)
        }
    }

    /// `empty-dir` for `/.../kubernetes.io~empty-dir/...`: a whole name, not a part of one.
    private static func plugin(_ root: BytePath) -> String? {
        // Only few roots contain the character, and looking for it costs less than taking the path apart.
        guard root.bytes.contains(UInt8(ascii: "~")) else { return nil }
        let prefix = "kubernetes.io~"
        return root.names.first { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    }

    private static func volumeName(_ root: BytePath) -> String? {
        let names = root.names
        guard let data = names.lastIndex(of: "_data"), data >= 2, names[data - 2] == "volumes" else { return nil }
        return names[data - 1]
    }

    private static func isAnonymous(_ name: String) -> Bool { name.count == 64 && name.allSatisfy(\.isHexDigit) }
}
