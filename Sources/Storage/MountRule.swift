/// One row of the classification table: when every condition holds, the verdict applies. The first row that holds wins.
struct MountRule: Sendable {
    /// What a row can ask about a mount.
    enum Condition: Sendable {
        /// The file system is of one of these kinds.
        case kind([FilesystemKind])
        /// The file system type is one of these.
        case type([String])
        /// The mount point is one of these.
        case mountPoint([BytePath])
        /// The mount point is one of these or lies below one.
        case below([BytePath])
        /// The root field contains a directory with one of these names.
        case rootDirectory([String])
        /// The root field contains a directory with this prefix.
        case rootDirectoryPrefix(String)
        /// The root field is the file system's own root directory.
        case rootIsWhole
        /// The source of the bind mount was deleted.
        case rootIsDeleted
        /// The root field has the form `.../volumes/NAME/_data` of Docker and podman; with a 64-digit name when anonymous.
        case namedVolume(anonymous: Bool)
        /// Nothing can be written.
        case readOnly
        /// The mount has this option.
        case option(String)
        /// The file system has this option.
        case superOption(String)
        /// The device is that of the kubelet's or runtime's files (true), or known to be another (false).
        case onNodeDisk(Bool)
        /// The process runs in a Kubernetes pod.
        case kubernetes
        /// The opposite of a condition.
        indirect case not(Condition)
    }

    let conditions: [Condition]
    let lifetime: Lifetime
    let confidence: Confidence
    let reason: String
    let isVolumeTrap: Bool

    init(
        _ conditions: [Condition], _ lifetime: Lifetime, _ confidence: Confidence, isVolumeTrap: Bool = false,
        _ reason: String
    ) {
        self.conditions = conditions
        self.lifetime = lifetime
        self.confidence = confidence
        self.reason = reason
        self.isVolumeTrap = isVolumeTrap
    }

    /// The table. Forms of Kubernetes roots: pkg/volume of Kubernetes (`pods/UID/volumes/PLUGIN/NAME`, with the slash of the
    /// plugin's name written `~`); forms of Docker and podman roots: `volumes/NAME/_data`.
    static let table: [MountRule] =
        kernel + runtimeFiles + memory + remote + layers + kubernetes + disks

    private static let kernel: [MountRule] = [
        MountRule(
            [.kind([.pseudo]), .not(.below(["/dev"]))], .kernel, .certain, "an interface of the kernel, not storage"),
        MountRule([.below(["/proc", "/sys"])], .kernel, .certain, "an interface of the kernel, not storage"),
        MountRule(
            [.mountPoint(["/dev/termination-log"])], .container, .certain,
            "the container's last words, made by the kubelet for each start"),
        MountRule(
            [.below(["/dev/shm"]), .kind([.memory])], .pod, .certain,
            "shared memory: lost when the pod ends, and counted as its memory"),
        MountRule([.below(["/dev"]), .not(.below(["/dev/shm"]))], .kernel, .certain, "devices, not storage"),
    ]

    private static let runtimeFiles: [MountRule] = [
        MountRule(
            [.mountPoint(["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv", "/.dockerenv"])],
            .container, .certain, "a file that the container runtime makes anew for each pod"),
        MountRule(
            [.rootIsDeleted], .container, .probable,
            "the mounted directory was deleted: its data goes when it is unmounted"),
        MountRule(
            [.below(["/run/secrets", "/var/run/secrets"]), .readOnly], .image, .certain,
            "secrets that the platform mounts read-only"),
        MountRule(
            [.below(["/run/secrets", "/var/run/secrets"])], .container, .certain,
            "secrets that the platform makes anew for each pod"),
    ]

    private static let memory: [MountRule] = [
        MountRule(
            [.kind([.memory]), .readOnly], .image, .certain,
            "read-only memory, such as a secret: nothing can be written"),
        MountRule([.kind([.memory]), .mountPoint(["/"])], .container, .certain, "the root directory is in memory"),
        // The runtimes mount their own tmpfs with nosuid; the kubelet mounts emptyDir without.
        MountRule(
            [.kind([.memory]), .option("nosuid")], .container, .probable, "memory of the container: lost when it ends"),
        MountRule([.kind([.memory])], .pod, .probable, "memory, such as an emptyDir volume: lost when the pod ends"),
    ]

    private static let remote: [MountRule] = [
        MountRule(
            [.type(["fuse.sshfs", "fuse.davfs"])], .volume, .probable,
            "files of another machine, which may clean them up"),
        MountRule(
            [.kind([.network]), .not(.mountPoint(["/"]))], .volume, .certain,
            "a network file system: it outlives the pod"),
        MountRule(
            [.kind([.objectStore]), .not(.mountPoint(["/"]))], .volume, .probable,
            "an object store: what was uploaded outlives the pod, what is still in its local cache does not"),
        MountRule(
            [.kind([.shared, .network]), .mountPoint(["/"])], .container, .probable,
            "the root directory of a sandboxed container, served by its host"),
        MountRule(
            [.kind([.shared])], .unknown, .probable,
            "served by the host of a virtual machine: its own storage cannot be seen"),
        MountRule([.kind([.userspace])], .unknown, .probable, "a FUSE program that is not known here"),
    ]

    private static let layers: [MountRule] = [
        MountRule([.kind([.readOnlyImage])], .image, .certain, "a read-only image: nothing can be written"),
        MountRule(
            [.kind([.overlay]), .mountPoint(["/"])], .container, .certain,
            "the container's writable layer: lost when the pod ends"),
        MountRule([.kind([.overlay]), .readOnly], .image, .certain, "read-only layers: nothing can be written"),
        MountRule(
            [.kind([.overlay]), .not(.superOption("upperdir"))], .image, .probable, "layers without a writable one"),
        MountRule(
            [.kind([.overlay])], .unknown, .probable, "an overlay whose writable layer cannot be located from here"),
    ]

    private static let kubernetes: [MountRule] = [
        MountRule(
            [.kind([.block]), .rootDirectory(["kubernetes.io~empty-dir"])], .pod, .certain,
            "an emptyDir volume: deleted with the pod"),
        MountRule(
            [
                .kind([.block]),
                .rootDirectory([
                    "kubernetes.io~configmap", "kubernetes.io~secret", "kubernetes.io~projected",
                    "kubernetes.io~downward-api",
                ]), .readOnly,
            ], .image, .certain, "configuration that the platform mounts read-only"),
        MountRule(
            [
                .kind([.block]),
                .rootDirectory([
                    "kubernetes.io~configmap", "kubernetes.io~secret", "kubernetes.io~projected",
                    "kubernetes.io~downward-api",
                    "kubernetes.io~git-repo",
                ]),
            ], .pod, .certain, "a directory that the kubelet makes anew for each pod"),
        MountRule(
            [.kind([.block]), .rootDirectory(["kubernetes.io~local-volume"])], .node, .certain,
            "a local volume: kept on this node only"),
        MountRule(
            [.kind([.block]), .rootDirectoryPrefix("kubernetes.io~")], .pod, .certain, isVolumeTrap: true,
            "the directory where the kubelet mounts a volume, but the volume itself is not mounted: data goes to the node's disk and is deleted with the pod"
        ),
    ]

    private static let disks: [MountRule] = [
        MountRule(
            [.kind([.block]), .mountPoint(["/"]), .kubernetes], .container, .probable,
            "the container's root directory on a snapshot of the image: lost when the pod ends"),
        MountRule(
            [.kind([.block]), .mountPoint(["/"])], .unknown, .probable,
            "the root directory is not an overlay: a machine of its own, or a container on a snapshot of its image"),
        MountRule(
            [.kind([.block]), .onNodeDisk(false), .rootIsWhole], .volume, .probable,
            "a disk of its own, not the node's: an attached volume, unless it was made for this pod alone"),
        MountRule([.kind([.block]), .readOnly], .image, .certain, "mounted read-only: nothing can be written"),
        MountRule(
            [.namedVolume(anonymous: true)], .node, .probable, isVolumeTrap: true,
            "an anonymous container volume: kept on this node, and removed with the container when that was asked for"),
        MountRule(
            [.namedVolume(anonymous: false)], .node, .certain, isVolumeTrap: true,
            "a container volume on this node's disk"),
        MountRule(
            [.kind([.block]), .onNodeDisk(true)], .node, .probable, isVolumeTrap: true,
            "a directory of the node's own disk: kept on this node only"),
        MountRule(
            [.kind([.block]), .onNodeDisk(false)], .unknown, .probable,
            "a directory of a disk that is not the node's system disk: part of an attached volume, or of another disk of the node"
        ),
        MountRule([.kind([.block])], .unknown, .probable, "a local disk, and nothing shows whether it is the node's"),
    ]
}
