import Testing

@testable import Storage

@Suite("lifetime of mounts")
struct MountClassifierTests {
    private func lifetimes(_ fixture: String) throws -> [String: String] {
        let table = try Fixture.table(fixture)
        let classifier = MountClassifier(table)
        return Dictionary(
            uniqueKeysWithValues: table.mounts.map { mount in
                let verdict = classifier.classify(mount)
                return (mount.mountPoint.description, "\(verdict.lifetime.rawValue) \(verdict.confidence.rawValue)")
            })
    }

    @Test("containerd with Kubernetes")
    func containerd() throws {
        #expect(
            try lifetimes("containerd") == [
                "/": "container certain", "/proc": "kernel certain", "/dev": "kernel certain",
                "/dev/pts": "kernel certain",
                "/dev/mqueue": "kernel certain", "/sys": "kernel certain", "/sys/fs/cgroup": "kernel certain",
                "/etc/hosts": "container certain", "/dev/termination-log": "container certain",
                "/etc/hostname": "container certain", "/etc/resolv.conf": "container certain",
                "/dev/shm": "pod certain",
                "/run/secrets/kubernetes.io/serviceaccount": "image certain", "/mnt/my-storage": "volume certain",
                "/scratch": "pod certain", "/cache": "pod probable", "/etc/settings": "image certain",
                "/host": "node probable",
                "/data/disk": "volume probable", "/data/part": "unknown probable",
                "/usr/bin/nvidia-smi": "image certain",
                "/dev/nvidia0": "kernel certain", "/proc/bus": "kernel certain", "/proc/acpi": "kernel certain",
            ])
    }

    @Test("docker, with named, anonymous and deleted volumes")
    func docker() throws {
        let found = try lifetimes("docker")
        #expect(found["/"] == "container certain")
        #expect(found["/models"] == "node certain")
        #expect(found["/anonymous"] == "node probable")
        #expect(found["/workspace"] == "node probable")
        #expect(found["/run"] == "container probable")
        #expect(found["/old"] == "container probable")
        #expect(found["/dev/shm"] == "pod certain")
    }

    @Test("podman, with and without root")
    func podman() throws {
        let found = try lifetimes("podman")
        #expect(found["/"] == "container certain")
        #expect(found["/run/.containerenv"] == "container certain")
        #expect(found["/work"] == "node certain")
        #expect(try lifetimes("podman-rootless")["/"] == "container certain")
    }

    @Test("CRI-O on a system whose kubelet directory lies below another root")
    func crio() throws {
        let found = try lifetimes("crio")
        #expect(found["/"] == "container certain")
        #expect(found["/tmp"] == "pod certain")
        #expect(found["/local"] == "node certain")
        #expect(found["/mnt/ceph"] == "volume certain")
    }

    @Test("gVisor and Kata hide what a share is, so it is unknown")
    func sandboxes() throws {
        let gvisor = try lifetimes("gvisor")
        #expect(gvisor["/"] == "container certain")
        #expect(gvisor["/data/shared"] == "unknown probable")
        #expect(gvisor["/tmp"] == "pod probable")
        let kata = try lifetimes("kata")
        #expect(kata["/"] == "container probable")
        #expect(kata["/mnt/my-storage"] == "unknown probable")
        #expect(kata["/data/block"] == "unknown probable", "no file of the kubelet shows which disk is the node's")
    }

    @Test("FUSE file systems are told apart by type and source")
    func fuse() throws {
        let found = try lifetimes("runpod")
        #expect(found["/workspace"] == "volume certain")
        #expect(found["/data/s3"] == "volume probable")
        #expect(found["/data/juice"] == "volume probable")
        #expect(found["/data/other"] == "unknown probable")
        #expect(found["/proc/meminfo"] == "kernel certain")
    }

    @Test("a volume that is not mounted is not taken for one because its place is a mount point")
    func gone() throws {
        let table = try Fixture.table("containerd-nfs-gone")
        let classifier = MountClassifier(table)
        let verdicts = table.mounts.filter { $0.mountPoint.isWithin("/mnt") }.map(classifier.classify)
        #expect(verdicts.map(\.lifetime) == [.pod, .pod, .node])
        #expect(verdicts.allSatisfy { $0.isVolumeTrap })
    }

    @Test("a component of the root decides, not a part of its name")
    func component() {
        let table = MountTable([
            Mount(
                id: 1, parent: 0, device: .init(major: 8, minor: 1), root: "/x/not-kubernetes.io~empty-dir/y",
                mountPoint: "/a",
                filesystem: "ext4", source: "/dev/sda1")
        ])
        #expect(MountClassifier(table).classify(table.mounts[0]).lifetime == .unknown)
    }

    @Test("a rule of the configuration wins over the table")
    func siteRule() throws {
        let table = try Fixture.table("kata")
        let rule = SiteRule(
            mountPoint: "/mnt/*", filesystems: ["virtiofs"], lifetime: .volume,
            reason: "the site shares NFS by virtiofs")
        let classifier = MountClassifier(table, siteRules: [rule])
        let verdict = table.mounts.first { $0.mountPoint == "/mnt/my-storage" }.map(classifier.classify)
        #expect(verdict == Classification(.volume, .certain, "the site shares NFS by virtiofs"))
    }

    @Test("a root directory on a plain disk is the container's in Kubernetes, and unknown elsewhere")
    func plainRoot() {
        let root = Mount(
            id: 1, parent: 0, device: .init(major: 254, minor: 3), root: "/", mountPoint: "/", filesystem: "ext4",
            source: "/dev/vda")
        #expect(MountClassifier(MountTable([root]), isKubernetes: true).classify(root).lifetime == .container)
        #expect(MountClassifier(MountTable([root])).classify(root).lifetime == .unknown)
    }

    @Test("file systems that another machine or program answers for are never touched from here")
    func mayHang() throws {
        let hanging = try ["containerd", "runpod", "kata"].flatMap { try Fixture.table($0).mounts }.filter(
            FilesystemKind.mayHang)
        #expect(
            Set(hanging.map(\.mountPoint.description)) == [
                "/mnt/my-storage", "/workspace", "/data/s3", "/data/juice", "/data/other", "/proc/meminfo",
                "/etc/hosts",
            ])
    }
}
