/// The classification table: every kind of mount that can be told from the mount table, with its verdict and the reason in
/// one clause. The first row that holds wins; a mount for which none holds is `unknown`.
///
/// Forms of Kubernetes roots: pkg/volume of Kubernetes (`pods/UID/volumes/PLUGIN/NAME`, with the slash of the plugin's name
/// written `~`). Forms of Docker and podman roots: `volumes/NAME/_data`. Types: /proc/filesystems of the kernel and the
/// `subtype=` that a FUSE program gives itself.
enum LifetimeTable {
    /// The rows, in the order in which they are tried.
    static let rows: [MountRule] =
        kernel + runtimeFiles + memory + network + objectStores + opaque + layers + kubelet + disks

    /// The rows that can hold for a type, without the conditions that only ask for it.
    static func rows(for kind: FilesystemKind, _ type: String) -> [MountRule] {
        rows.compactMap { $0.reduced(kind: kind, type: type) }
    }

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
        MountRule(
            [.type(["hugetlbfs"])], .pod, .certain, "huge pages of memory: lost when the pod ends"),
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

    private static let network: [MountRule] = [
        MountRule(
            [.kind([.network, .objectStore]), .mountPoint(["/"])], .unknown, .probable,
            "the root directory itself lies on another machine: whether a new pod gets the same one cannot be seen"),
        MountRule(
            [.type(["nfs", "nfs4"]), .source(["127.", "localhost:", "[::1]"])], .volume, .probable,
            "an NFS export through a relay on this machine, such as that of EFS: it outlives the pod unless the server runs in the pod itself"
        ),
        MountRule([.type(["nfs", "nfs4"])], .volume, .certain, "an NFS export: it outlives the pod"),
        MountRule([.type(["cifs", "smb3", "smbfs"])], .volume, .certain, "an SMB share: it outlives the pod"),
        MountRule(
            [.type(["ceph", "fuse.ceph", "fuse.ceph-fuse"])], .volume, .certain,
            "a directory of CephFS: it outlives the pod"),
        MountRule([.type(["lustre"])], .volume, .certain, "a Lustre file system: it outlives the pod"),
        MountRule([.type(["gpfs"])], .volume, .certain, "a GPFS (Storage Scale) file system: it outlives the pod"),
        MountRule([.type(["beegfs", "beegfs_nodev"])], .volume, .certain, "a BeeGFS file system: it outlives the pod"),
        MountRule([.type(["wekafs"])], .volume, .certain, "a WekaFS file system: it outlives the pod"),
        MountRule(
            [.type(["glusterfs", "fuse.glusterfs"])], .volume, .certain, "a GlusterFS volume: it outlives the pod"),
        MountRule(
            [.type(["fuse.sshfs", "fuse.davfs"])], .volume, .probable,
            "files of another machine, which may clean them up"),
        MountRule([.kind([.network])], .volume, .certain, "a network file system: it outlives the pod"),
    ]

    private static let objectStores: [MountRule] = [
        MountRule(
            [.type(["fuse.juicefs"])], .volume, .probable,
            "JuiceFS: it outlives the pod, except what a write-back cache has not uploaded yet"),
        MountRule(
            [.type(["fuse.rclone"])], .volume, .probable,
            "a remote through rclone: what was uploaded outlives the pod, what is still in its local cache does not"),
        MountRule(
            [.type(["fuse.s3fs", "fuse.goofys", "fuse.geesefs", "fuse.mountpoint-s3"])], .volume, .probable,
            "an S3 bucket: a file outlives the pod once it was closed and uploaded"),
        MountRule(
            [.source(["mountpoint-s3"])], .volume, .probable,
            "an S3 bucket: a file outlives the pod once it was closed and uploaded"),
        MountRule(
            [.type(["fuse.gcsfuse"])], .volume, .probable,
            "a Cloud Storage bucket: a file outlives the pod once it was closed and uploaded"),
        MountRule(
            [.kind([.objectStore])], .volume, .probable,
            "an object store: what was uploaded outlives the pod, what is still in its local cache does not"),
    ]

    private static let opaque: [MountRule] = [
        MountRule(
            [.kind([.shared]), .mountPoint(["/"]), .container], .container, .probable,
            "the root directory of a sandboxed container, served by its host"),
        MountRule(
            [.type(["9p"])], .unknown, .probable,
            "served by the host of a sandbox (gVisor) or virtual machine: the storage behind it cannot be seen"),
        MountRule(
            [.kind([.shared])], .unknown, .probable,
            "served by the host of a virtual machine, such as Kata's: the storage behind it cannot be seen"),
        MountRule(
            [.type(["fuseblk"])], .unknown, .probable,
            "a disk through a FUSE program, such as NTFS: nothing shows whose disk it is"),
        MountRule([.kind([.userspace])], .unknown, .probable, "a FUSE program that is not known here"),
    ]

    private static let layers: [MountRule] = [
        MountRule(
            [.type(["squashfs", "erofs"])], .image, .certain,
            "a compressed read-only image: nothing can be written"),
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

    private static let configuration = ["configmap", "secret", "projected", "downward-api"]

    private static let kubelet: [MountRule] = [
        MountRule(
            [.kind([.block]), .plugin(["empty-dir"])], .pod, .certain, "an emptyDir volume: deleted with the pod"),
        MountRule(
            [.kind([.block]), .plugin(configuration), .readOnly], .image, .certain,
            "configuration that the platform mounts read-only"),
        MountRule(
            [.kind([.block]), .plugin(configuration + ["git-repo"])], .pod, .certain,
            "a directory that the kubelet makes anew for each pod"),
        MountRule(
            [.kind([.block]), .plugin(["local-volume"])], .node, .certain, "a local volume: kept on this node only"),
        MountRule(
            [.kind([.block]), .plugin([])], .pod, .certain, isVolumeTrap: true,
            "the directory where the kubelet mounts a volume, but the volume itself is not mounted: data goes to the node's disk and is deleted with the pod"
        ),
    ]

    private static let disks: [MountRule] = [
        MountRule(
            [.kind([.block]), .mountPoint(["/"]), .container], .container, .probable,
            "the container's root directory on a snapshot of the image: lost when the pod ends"),
        MountRule(
            [.kind([.block]), .mountPoint(["/"])], .unknown, .probable,
            "the root directory is not an overlay: a machine or system container of its own, or a container on a snapshot of its image"
        ),
        MountRule(
            [.kind([.block]), .not(.type(["zfs"])), .onNodeDisk(false), .rootIsWhole], .volume, .probable,
            "a disk of its own, not the node's: an attached volume, unless it was made for this pod alone (a generic ephemeral volume looks the same)"
        ),
        MountRule([.kind([.block]), .readOnly], .image, .certain, "mounted read-only: nothing can be written"),
        MountRule(
            [.namedVolume(anonymous: true)], .node, .probable, isVolumeTrap: true,
            "an anonymous container volume: kept on this node, and removed with the container when that was asked for"),
        MountRule(
            [.namedVolume(anonymous: false)], .node, .certain, isVolumeTrap: true,
            "a container volume on this node's disk"),
        MountRule(
            [.kind([.block]), .onNodeDisk(true)], .node, .probable, isVolumeTrap: true,
            "a directory of the node's own disk, such as a hostPath volume: kept on this node only"),
        MountRule(
            [.type(["zfs"])], .unknown, .probable,
            "a ZFS dataset: of the node's own pool, or of an attached disk"),
        MountRule(
            [.kind([.block]), .onNodeDisk(false)], .unknown, .probable,
            "a directory of a disk that is not the node's system disk: part of an attached volume (subPath), or of another disk of the node"
        ),
        MountRule([.kind([.block])], .unknown, .probable, "a local disk, and nothing shows whether it is the node's"),
    ]
}
