/// What kind of storage a file system type is. One table for everything that has to know.
public enum FilesystemKind: Sendable, Equatable {
    /// A file system of its own on a block device of this machine.
    case block
    /// Layers with one writable layer on top.
    case overlay
    /// Memory.
    case memory
    /// The kernel's own interfaces.
    case pseudo
    /// Files on another machine, with the semantics of a file system.
    case network
    /// Files in an object store behind a FUSE program: renames, appends and locks are limited or late.
    case objectStore
    /// Read-only by its format.
    case readOnlyImage
    /// Shared by a virtual machine or sandbox with its host; anything may be behind it.
    case shared
    /// A FUSE program that this table does not know.
    case userspace
    /// A type that this table does not know.
    case other

    /// The kind of a mounted file system.
    public init(_ mount: Mount) {
        if let known = Self.byType[mount.filesystem] {
            self = known
        } else if mount.filesystem == "fuse",
            let known = Self.fuseSources.first(where: {
                mount.source.bytes.starts(with: $0.prefix.utf8)
            })
        {
            self = known.kind
        } else if mount.filesystem == "fuse" || mount.filesystem.hasPrefix("fuse.") || mount.filesystem == "fuseblk" {
            self = .userspace
        } else {
            self = .other
        }
    }

    /// FUSE programs that name themselves in the source and not in the type.
    private static let fuseSources: [(prefix: String, kind: FilesystemKind)] = [
        ("mfs#", .network),  // MooseFS: `mfs#host:port`
        ("mountpoint-s3", .objectStore),
        ("blobfuse2", .objectStore),
    ]

    /// The kinds of the types that name themselves.
    static let byType: [String: FilesystemKind] = {
        let groups: [(FilesystemKind, String)] = [
            (.block, "ext2 ext3 ext4 xfs btrfs zfs f2fs bcachefs jfs nilfs2 vfat exfat ntfs3"),
            (.overlay, "overlay overlayfs aufs fuse.fuse-overlayfs"),
            (.memory, "tmpfs ramfs hugetlbfs"),
            (
                .pseudo,
                """
                proc sysfs cgroup cgroup2 devpts devtmpfs mqueue debugfs tracefs securityfs bpf pstore configfs fusectl \
                binfmt_misc nsfs rpc_pipefs efivarfs selinuxfs autofs fuse.lxcfs sockfs pipefs resctrl
                """
            ),
            (
                .network,
                """
                nfs nfs4 cifs smb3 smbfs ceph fuse.ceph fuse.ceph-fuse lustre gpfs beegfs beegfs_nodev wekafs glusterfs fuse.glusterfs \
                panfs pvfs2 orangefs fuse.quobyte fuse.daos fuse.mfs fuse.cubefs fuse.seaweedfs fuse.hf3fs afs fuse.sshfs \
                fuse.davfs
                """
            ),
            (
                .objectStore,
                "fuse.juicefs fuse.gcsfuse fuse.s3fs fuse.rclone fuse.goofys fuse.geesefs fuse.ossfs fuse.mountpoint-s3 fuse.blobfuse2"
            ),
            (.readOnlyImage, "squashfs erofs iso9660 cramfs cvmfs fuse.cvmfs romfs"),
            (.shared, "9p virtiofs"),
        ]
        var table: [String: FilesystemKind] = [:]
        for (kind, types) in groups {
            for type in types.split(separator: " ") { table[String(type)] = kind }
        }
        return table
    }()

    /// True when a system call on a file of this mount may wait for a server or another program, perhaps for ever.
    ///
    /// Unknown types count as such: only what is known to be answered by this kernel alone may be touched.
    public static func mayHang(_ mount: Mount) -> Bool {
        if mount.filesystem.hasPrefix("fuse") || mount.filesystem == "autofs" { return true }
        return switch FilesystemKind(mount) {
        case .block, .overlay, .memory, .pseudo, .readOnlyImage: false
        case .network, .objectStore, .shared, .userspace, .other: mount.mountPoint != .root
        }
    }
}
