import Storage

/// What a pod has written that counts against its limit of ephemeral storage: the writable layer and emptyDir volumes on
/// disk, whoever wrote it (Kubernetes, "Local ephemeral storage"). Its logs count too, but cannot be seen from inside.
struct EphemeralUse {
    /// Bytes allocated by files, hard links counted once.
    private(set) var bytes: UInt64 = 0
    private var linked: Set<TreeWalk.Identity> = []

    /// True for a mount whose files count: memory has a limit of its own.
    static func counts(_ mount: Mount) -> Bool { !["tmpfs", "ramfs"].contains(mount.filesystem) }

    /// Adds the files of a directory.
    mutating func add(_ listing: TreeWalk.Listing) {
        for file in listing.files where file.links < 2 || linked.insert(file.identity).inserted {
            bytes += file.allocatedBytes
        }
    }
}
