import LinuxKit
import Testing

@testable import Storage

@Suite("writable layer")
struct WritableLayerTests {
    @Test("where the root is not an overlay of the kernel, it cannot be told")
    func otherRoots() throws {
        for fixture in ["kata", "gvisor", "podman-rootless"] {
            guard case .cannotTell(let reason) = WritableLayer(try Fixture.table(fixture)) else {
                Issue.record("\(fixture) was taken for an overlay")
                continue
            }
            #expect(reason.contains("not an overlay of the kernel"))
        }
    }

    @Test("files of the image that all seem newer than the layer prove the time wrong")
    func selfCheck() throws {
        let table = try Fixture.table("containerd")
        let scratch = try TemporaryDirectory()
        // The directory is born before the file in it.
        let root = try FileStatus(scratch.path)
        let newer = try FileStatus(try scratch.write("x", to: "file"))
        let born = try #require(root.born, "the file system below /tmp keeps no time of birth")
        #expect(WritableLayer(table) { $0 == "/" ? root : nil } == .since(born))
        guard case .cannotTell(let reason) = WritableLayer(table, status: { $0 == "/" ? root : newer }) else {
            Issue.record("newer image files were believed")
            return
        }
        #expect(reason.contains("seem newer"))
        #expect(
            WritableLayer(table) { _ in nil }
                == .cannotTell("the file system below the root overlay does not keep the time of birth"))
    }
}
