import Glibc
import LinuxKit
import Synchronization
import Testing

@testable import Storage

@Suite("where a path leads")
struct PathResolutionTests {
    /// Links and names of an imagined disk; everything else does not exist. Records what was touched.
    private final class Disk: Sendable {
        let links: [BytePath: BytePath]
        let existing: Set<BytePath>
        let touched = Mutex<[BytePath]>([])

        init(links: [BytePath: BytePath] = [:], existing: Set<BytePath> = []) {
            self.links = links
            self.existing = existing
        }

        var reader: PathResolution.LinkReader {
            { path in
                self.touched.withLock { $0.append(path) }
                if let target = self.links[path] { return .success(target) }
                return self.existing.contains(path)
                    ? .success(nil) : .failure(LinuxError("read link", path.description, code: ENOENT))
            }
        }
    }

    @Test("a link to the volume is followed and recorded, and nothing on the volume is touched")
    func linkToVolume() throws {
        let table = try Fixture.table("containerd")
        let disk = Disk(links: ["/root/data": "../mnt/my-storage/data"], existing: ["/root", "/mnt"])
        let found = try PathResolution(of: "data/x", relativeTo: "/root", in: table, readLink: disk.reader)
        #expect(found.resolved == "/mnt/my-storage/data/x")
        #expect(found.exists == nil)
        #expect(found.isUnexplored)
        #expect(found.hops == [.init(link: "/root/data", target: "../mnt/my-storage/data")])
        #expect(disk.touched.withLock { $0 } == ["/root", "/root/data", "/mnt"])
    }

    @Test("the root of a mount exists without being touched")
    func mountRoot() throws {
        let disk = Disk(existing: ["/mnt"])
        let found = try PathResolution(
            of: "/mnt/my-storage/", relativeTo: "/", in: Fixture.table("containerd"), readLink: disk.reader)
        #expect(found.exists == true)
        #expect(!found.isUnexplored)
        #expect(disk.touched.withLock { $0 } == ["/mnt"])
    }

    @Test("what does not exist belongs where it would be made")
    func missing() throws {
        let table = try Fixture.table("containerd")
        let disk = Disk(existing: ["/root"])
        let found = try PathResolution(
            of: "/root/new/./deep/../file", relativeTo: "/", in: table, readLink: disk.reader)
        #expect(found.resolved == "/root/new/file")
        #expect(found.exists == false)
        #expect(table.owner(of: found.resolved)?.mountPoint == "/")
    }

    @Test("a loop of links is an error, and so is an empty path")
    func loops() throws {
        let table = try Fixture.table("containerd")
        let disk = Disk(links: ["/a": "/b", "/b": "/a"])
        #expect(throws: PathResolution.Failure.tooManyLinks("/a")) {
            try PathResolution(of: "/a", relativeTo: "/", in: table, readLink: disk.reader)
        }
        #expect(throws: PathResolution.Failure.invalid) {
            try PathResolution(of: "", relativeTo: "/", in: table, readLink: disk.reader)
        }
    }

    @Test("on this machine the answer is that of realpath, also for names that are not UTF-8")
    func real() throws {
        let scratch = try TemporaryDirectory()
        let base = BytePath(scratch.path)
        let odd = base.appending([0xff, 0x20])
        #expect(odd.withCString { mkdir($0, 0o700) } == 0)
        #expect(base.appending("link").withCString { link in odd.withCString { symlink($0, link) } } == 0)
        let table = try MountTable.read().table
        let found = try PathResolution(of: base.appending("link"), relativeTo: "/", in: table)
        let expected = base.appending("link").withCString {
            realpath($0, nil).map { BytePath(bytes: String(cString: $0).utf8) }
        }
        #expect(found.resolved == odd)
        #expect(found.exists == true)
        #expect(expected != nil)
    }
}
