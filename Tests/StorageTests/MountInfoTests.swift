import LinuxKit
import Testing

@testable import Storage

@Suite("mountinfo")
struct MountInfoTests {
    private func parse(_ text: String) -> MountInfo { MountInfo(parsing: Array(text.utf8)) }

    @Test("escapes are decoded once, in the mount point, the root, the type and the source")
    func escapes() throws {
        let info = parse(
            #"36 35 98:0 /a\134040b /mnt/two\040words\011tab\012line\134 rw - ext\0434 /dev/my\043disk rw,errors=continue"#
                + "\n")
        let mount = try #require(info.mounts.first)
        #expect(mount.root == #"/a\040b"#)
        #expect(mount.mountPoint == "/mnt/two words\ttab\nline\\")
        #expect(mount.filesystem == "ext#4")
        #expect(mount.source == "/dev/my#disk")
        #expect(info.errors.isEmpty)
    }

    @Test(
        "there may be any number of optional fields",
        arguments: [[], ["shared:1"], ["shared:1", "master:2", "propagate_from:3", "new"]])
    func optionalFields(tags: [String]) throws {
        let text = (["36 35 98:0 / /mnt rw,noatime"] + tags + ["- ext4 /dev/root rw"]).joined(separator: " ")
        let mount = try #require(parse(text).mounts.first)
        #expect(mount.tags == tags.map { Array($0.utf8) })
        #expect(mount.filesystem == "ext4")
    }

    @Test("an empty source leaves two spaces and moves nothing")
    func emptySource() throws {
        let mount = try #require(parse("36 35 0:44 / /mnt rw - tmpfs  rw,size=1k\n").mounts.first)
        #expect(mount.source == "")
        #expect(mount.superOptions == Array("rw,size=1k".utf8))
    }

    @Test("a mount point named ` - ` is not taken for the separator")
    func separatorInName() throws {
        let mount = try #require(parse(#"36 35 0:44 / /mnt/\040-\040 rw - tmpfs src\040\040-\040 rw"#).mounts.first)
        #expect(mount.mountPoint == "/mnt/ - ")
        #expect(mount.source == "src  - ")
    }

    @Test("a path that is not UTF-8 keeps its bytes")
    func bytes() throws {
        let line = Array("36 35 0:44 / /mnt/".utf8) + [0xff, 0xfe] + Array(" rw - tmpfs x rw".utf8)
        let mount = try #require(MountInfo(parsing: line).mounts.first)
        #expect(mount.mountPoint.bytes == Array("/mnt/".utf8) + [0xff, 0xfe])
        #expect(mount.mountPoint.jsonText == #"/mnt/\xff\xfe"#)
        #expect(mount.mountPoint.jsonBase64 == "L21udC//fg==" || mount.mountPoint.jsonBase64 == "L21udC///g==")
    }

    @Test("a root that is no path, and one that was deleted, are kept as they are")
    func oddRoots() throws {
        let info = parse(
            "1 2 0:4 net:[4026531840] /run/netns/x rw - nsfs nsfs rw\n3 2 8:1 /src//deleted /old rw - ext4 /dev/sda1 rw\n"
        )
        #expect(info.mounts.map(\.root) == ["net:[4026531840]", "/src//deleted"])
    }

    @Test("one malformed line costs that line only, and is named by its number")
    func malformed() {
        let good = "36 35 98:0 / /mnt rw - ext4 /dev/root rw"
        let cases: [(String, MountInfoError.Reason)] = [
            ("", .tooFewFields), ("36", .tooFewFields), ("36 35 98:0 / /mnt", .tooFewFields),
            ("x 35 98:0 / /mnt rw - ext4 a rw", .badIdentifier), ("36 -1 98:0 / /mnt rw - ext4 a rw", .badIdentifier),
            ("99999999999999999999999 35 98:0 / /mnt rw - ext4 a rw", .badIdentifier),
            ("36 35 980 / /mnt rw - ext4 a rw", .badDevice), ("36 35 98: / /mnt rw - ext4 a rw", .badDevice),
            ("36 35 98:0 / mnt rw - ext4 a rw", .badMountPoint), ("36 35 98:0 / /mnt rw ext4 a rw", .noSeparator),
            ("36 35 98:0 / /mnt rw -", .noFilesystem), ("36 35 98:0 / /mnt rw - ", .noFilesystem),
        ]
        for (line, reason) in cases {
            let info = parse("\(good)\n\(line)\n\(good)\n")
            #expect(info.mounts.count == 2, "\(line)")
            #expect(info.errors == [MountInfoError(line: 2, reason: reason)], "\(line)")
        }
    }

    @Test("read-only is in the options of the mount or in those of the file system")
    func readOnly() {
        let lines = [
            "ro - ext4 a rw", "rw - ext4 a ro", "rw,relatime - ext4 a rw,errors=remount-ro", "relatime,ro - ext4 a rw",
        ]
        let mounts = lines.flatMap { parse("36 35 98:0 / /mnt \($0)").mounts }
        #expect(mounts.map(\.isReadOnly) == [true, true, false, true])
    }

    @Test("this machine's own mountinfo is read without an error and written back byte for byte")
    func ownTable() throws {
        let contents = try LocalFile.read("/proc/self/mountinfo")
        let info = MountInfo(parsing: contents)
        #expect(info.errors.isEmpty)
        #expect(info.mounts.map { $0.line + [0x0a] }.flatMap { $0 } == contents)
    }

    @Test("any mount that Linux could print is read back as it was")
    func roundTrip() {
        var generator = SeededGenerator(state: 1)
        for _ in 0..<5000 {
            let mount = randomMount(using: &generator)
            let info = MountInfo(parsing: mount.line + [0x0a])
            #expect(info.mounts == [mount])
        }
    }

    @Test("20,000 damaged and random inputs neither crash it nor lose a line without an error")
    func fuzz() throws {
        var generator = SeededGenerator(state: 2)
        let seeds = try ["docker", "containerd", "gvisor", "kata"].map { try Fixture.bytes($0) }
        for round in 0..<20_000 {
            var input: [UInt8]
            if round % 4 == 0 {
                input = (0..<Int.random(in: 0...200, using: &generator)).map { _ in
                    // Mostly the characters that mean something.
                    Bool.random(using: &generator)
                        ? Array(" -\n\\0123:/a".utf8).randomElement(using: &generator) ?? 0
                        : .random(in: 0...255, using: &generator)
                }
            } else {
                let seed = seeds[Int.random(in: 0..<seeds.count, using: &generator)]
                let start = Int.random(in: 0..<seed.count, using: &generator)
                input = Array(seed[start..<min(seed.count, start + 300)])
                for _ in 0..<Int.random(in: 1...8, using: &generator) where !input.isEmpty {
                    let position = Int.random(in: 0..<input.count, using: &generator)
                    switch Int.random(in: 0..<3, using: &generator) {
                    case 0: input[position] = .random(in: 0...255, using: &generator)
                    case 1: input.remove(at: position)
                    default: input.insert(Array(" -\n\\".utf8).randomElement(using: &generator) ?? 0, at: position)
                    }
                }
            }
            let info = MountInfo(parsing: input)
            let lines =
                input.split(separator: 0x0a, omittingEmptySubsequences: false).count
                - (input.last == 0x0a || input.isEmpty ? 1 : 0)
            #expect(info.mounts.count + info.errors.count == lines)
            for mount in info.mounts { #expect(MountInfo(parsing: mount.line).mounts == [mount]) }
        }
    }

    private func randomMount(using generator: inout SeededGenerator) -> Mount {
        func bytes(_ prefix: String, excluding: Set<UInt8> = []) -> [UInt8] {
            Array(prefix.utf8)
                + (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                    UInt8.random(in: 1...255, using: &generator)
                }
                .filter { !excluding.contains($0) }
        }
        let tags = (0..<Int.random(in: 0...3, using: &generator)).map { _ in bytes("t", excluding: [0x20, 0x0a]) }
        return Mount(
            id: .random(in: 0 ... .max, using: &generator), parent: .random(in: 0 ... .max, using: &generator),
            device: .init(
                major: .random(in: 0 ... .max, using: &generator), minor: .random(in: 0 ... .max, using: &generator)),
            root: BytePath(bytes: bytes("/")), mountPoint: BytePath(bytes: bytes("/")),
            options: bytes("rw", excluding: [0x20, 0x0a]), tags: tags, filesystem: "fuse.x y#\\z",
            source: BytePath(bytes: bytes("")), superOptions: bytes("rw", excluding: [0x20, 0x0a]))
    }

    @Test("a field that equals the decoded one of the line before is read by itself")
    func shared() {
        let first = "1 0 8:1 /\\134040 /a rw - ext4 /dev/sda rw"
        let second = #"2 1 8:1 /\040 /b rw,ro - fuse /dev/sda ro"#
        let mounts = MountInfo(parsing: Array("\(first)\n\(second)\n\(first)\n".utf8)).mounts
        #expect(mounts.map(\.root) == [#"/\040"#, "/ ", #"/\040"#])
        #expect(mounts.map(\.isReadOnly) == [false, true, false])
        #expect(mounts.map(\.filesystem) == ["ext4", "fuse", "ext4"])
    }
}
