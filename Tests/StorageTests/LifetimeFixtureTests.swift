import FoundationEssentials
import LinuxKit
import Testing

@testable import Storage

/// Every `Fixtures/NAME.mountinfo` has the documented shape of one runtime or kind of volume; `NAME.expected` says, line by
/// line, `LIFETIME CONFIDENCE MOUNTPOINT` (escaped as in mountinfo), or `hidden -` for a mount that a later one hides.
@Suite("lifetimes in every runtime")
struct LifetimeFixtureTests {
    static let directory =
        String(#filePath.prefix(upTo: #filePath.lastIndex(of: "/") ?? #filePath.endIndex)) + "/Fixtures"
    static let names: [String] = DirectoryReader.names(in: BytePath(directory)).map {
        String(decoding: $0, as: UTF8.self)
    }.filter { $0.hasSuffix(".mountinfo") }.map { String($0.dropLast(".mountinfo".count)) }

    @Test("there are fixtures of every runtime, and none without expected answers")
    func complete() {
        #expect(Self.names.count >= 30)
        for runtime in ["docker", "containerd", "crio", "podman", "gvisor", "kata", "lxc", "nspawn"] {
            #expect(Self.names.contains { $0.hasPrefix(runtime) }, "\(runtime)")
        }
    }

    @Test(
        "each mount has the expected lifetime and confidence, and owns its mount point unless hidden", arguments: names)
    func fixture(name: String) throws {
        let contents = try Fixture.bytes(name)
        let lines = contents.split(separator: UInt8(ascii: "\n"))
        let expected = try LocalFile.read("\(Self.directory)/\(name).expected").split(separator: UInt8(ascii: "\n"))
            .filter { $0.first != UInt8(ascii: "#") }
        let table = try Fixture.table(name)
        try #require(lines.count == expected.count && lines.count == table.mounts.count)
        let classifier = MountClassifier(table)
        for (index, mount) in table.mounts.enumerated() {
            let mountPoint = lines[index].split(separator: UInt8(ascii: " "))[4]
            let verdict = classifier.classify(mount)
            let found =
                table.isVisible(mount) ? "\(verdict.lifetime.rawValue) \(verdict.confidence.rawValue)" : "hidden -"
            #expect(
                Array(expected[index]) == Array("\(found) ".utf8) + mountPoint,
                "\(name): \(mount.mountPoint) is \(found): \(verdict.reason)")
            #expect(!verdict.reason.isEmpty)
            // What no mount covers below a mount belongs to it.
            if table.isVisible(mount) {
                #expect(table.owner(of: mount.mountPoint.appending("no such name/x"))?.id == mount.id)
            }
            #expect(mount.line == Array(lines[index]), "the line is read without loss")
        }
    }

    @Test("every row of the table decides some fixture")
    func everyRow() throws {
        var used: Set<String> = []
        for name in Self.names {
            let table = try Fixture.table(name)
            let classifier = MountClassifier(table)
            used.formUnion(table.mounts.map { classifier.classify($0).reason })
        }
        let unused = Set(LifetimeTable.rows.map(\.verdict.reason)).subtracting(used)
        #expect(unused.isEmpty)
    }

    @Test("every network file system and object store that is known is a volume, whatever its type")
    func everyRemoteType() {
        for (type, kind) in FilesystemKind.byType where kind == .network || kind == .objectStore {
            let mount = Mount(
                id: 1, parent: 0, device: .init(major: 0, minor: 1), root: "/", mountPoint: "/mnt/v", filesystem: type,
                source: "s")
            #expect(MountClassifier(MountTable([mount])).classify(mount).lifetime == .volume, "\(type)")
        }
    }
}
