import Testing

@testable import Storage

@Suite("lifetime of mounts")
struct MountClassifierTests {
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

    @Test("the first rule that matches wins, and ** covers everything below")
    func siteRules() {
        func verdict(_ path: BytePath, _ type: String) -> Lifetime {
            let mount = Mount(
                id: 1, parent: 0, device: .init(major: 0, minor: 9), root: "/", mountPoint: path, filesystem: type,
                source: "s")
            let rules = [
                SiteRule(mountPoint: "/site/scratch", lifetime: .pod, reason: "r"),
                SiteRule(mountPoint: "/site/**", filesystems: ["sitefs"], lifetime: .volume, reason: "r"),
            ]
            return MountClassifier(MountTable([mount]), siteRules: rules).classify(mount).lifetime
        }
        #expect(verdict("/site/scratch", "sitefs") == .pod)
        #expect(verdict("/site", "sitefs") == .volume)
        #expect(verdict("/site/a/b", "sitefs") == .volume)
        #expect(verdict("/site/a", "otherfs") == .unknown)
        #expect(verdict("/sites/a", "sitefs") == .unknown)
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
