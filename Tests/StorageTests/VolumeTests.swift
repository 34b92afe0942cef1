import Testing

@testable import Storage

@Suite("volumes")
struct VolumeTests {
    private func volumes(
        _ fixture: String, expected: [ExpectedVolume] = [], directories: [BytePath] = []
    ) throws -> [String: Volume] {
        let table = try Fixture.table(fixture)
        let found = VolumeFinder(table, classifier: MountClassifier(table)).volumes(
            expected: expected, directories: directories)
        return Dictionary(uniqueKeysWithValues: found.map { ($0.mountPoint.description, $0) })
    }

    @Test("network mounts and attached disks are volumes; scratch, secrets and the node's directories are not")
    func found() throws {
        let found = try volumes("containerd")
        #expect(found.keys.sorted() == ["/data/disk", "/data/part", "/mnt/my-storage"])
        #expect(found.values.allSatisfy { $0.state == .ready })
        #expect(found["/mnt/my-storage"]?.name == "my-storage")
    }

    @Test("an expected volume that is not mounted is missing, and the reason names who owns the path")
    func missing() throws {
        let wanted = ExpectedVolume(mountPoint: "/mnt/other", expectedBy: "the configuration")
        let volume = try #require(try volumes("containerd", expected: [wanted])["/mnt/other"])
        #expect(volume.state == .missing)
        #expect(volume.classification.lifetime == .container)
        #expect(volume.reason?.contains("belongs to /, the container's writable layer") == true)
    }

    @Test("a directory of the node's disk in a volume's place is missing, in all three forms")
    func trap() throws {
        let found = try volumes("containerd-nfs-gone")
        #expect(found.keys.sorted() == ["/mnt/by-csi", "/mnt/by-host", "/mnt/by-plugin"])
        #expect(found.values.allSatisfy { $0.state == .missing && $0.reason?.contains("not a volume") == true })
    }

    @Test("with no volume mounted, a directory below /mnt is the place of one; with one mounted, it is not")
    func directories() throws {
        #expect(try volumes("podman", directories: ["/mnt/my-storage"])["/mnt/my-storage"]?.state == .missing)
        #expect(try volumes("containerd", directories: ["/mnt/junk"])["/mnt/junk"] == nil)
    }

    @Test("a stray directory below /mnt is the place of a volume only on a container's own layer")
    func strayDirectories() {
        func found(_ filesystem: String, isKubernetes: Bool = false) -> [Volume] {
            let root = Mount(
                id: 1, parent: 0, device: .init(major: 254, minor: 0), root: "/", mountPoint: "/",
                filesystem: filesystem, source: "/dev/vda")
            let table = MountTable([root])
            return VolumeFinder(table, classifier: MountClassifier(table, isKubernetes: isKubernetes)).volumes(
                directories: ["/mnt/usb"])
        }
        #expect(found("overlay").map(\.state) == [.missing])
        #expect(found("ext4", isKubernetes: true).map(\.state) == [.missing])
        #expect(found("ext4").isEmpty, "a machine of its own")
        #expect(found("newfs").isEmpty)
    }

    @Test("a directory inside a volume is as good as a mount of its own")
    func inside() throws {
        let wanted = ExpectedVolume(mountPoint: "/mnt/my-storage/team", expectedBy: "the configuration")
        #expect(try volumes("containerd", expected: [wanted])["/mnt/my-storage/team"] == nil)
    }

    @Test("the wrong file system in an expected place is missing")
    func wrongType() throws {
        let wanted = ExpectedVolume(
            mountPoint: "/data/disk", expectedBy: "the configuration", filesystems: ["nfs", "nfs4"])
        let volume = try #require(try volumes("containerd", expected: [wanted])["/data/disk"])
        #expect(volume.state == .missing)
        #expect(volume.reason == "xfs is mounted there, but the configuration says nfs or nfs4")
    }

    @Test("a volume that is mounted read-only says so")
    func readOnly() throws {
        let table = MountTable([
            Mount(
                id: 1, parent: 0, device: .init(major: 0, minor: 1), root: "/", mountPoint: "/mnt/v",
                options: Array("ro".utf8), filesystem: "nfs", source: "s:/e")
        ])
        #expect(VolumeFinder(table, classifier: MountClassifier(table)).volumes().map(\.state) == [.readOnly])
    }
}
