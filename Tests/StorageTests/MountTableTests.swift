import Glibc
import LinuxKit
import Testing

@testable import Storage

@Suite("owner of a path")
struct MountTableTests {
    private func mount(_ id: UInt64, on parent: UInt64, at path: BytePath) -> Mount {
        Mount(
            id: id, parent: parent, device: .init(major: 0, minor: 1), root: "/", mountPoint: path, filesystem: "tmpfs",
            source: "x")
    }

    @Test("a mount hidden by a later mount further up owns nothing")
    func hidden() {
        let table = MountTable([mount(1, on: 0, at: "/"), mount(2, on: 1, at: "/x/y"), mount(3, on: 1, at: "/x")])
        #expect(table.owner(of: "/x/y/file")?.id == 3)
        #expect(table.mounts.map(table.isVisible) == [true, false, true])
    }

    @Test("of mounts stacked on one mount point the last one owns it")
    func stacked() {
        let table = MountTable([
            mount(1, on: 0, at: "/"), mount(2, on: 1, at: "/x"), mount(3, on: 2, at: "/x"), mount(4, on: 3, at: "/x/a"),
        ])
        #expect(table.owner(of: "/x")?.id == 3)
        #expect(table.owner(of: "/x/a/b")?.id == 4)
        #expect(table.owner(of: "/xa")?.id == 1)
        #expect(table.owner(of: "/")?.id == 1)
    }

    @Test("a table without a root, with a cycle, or with itself as parent has an answer and an end")
    func oddTables() {
        #expect(MountTable([]).owner(of: "/a") == nil)
        #expect(MountTable([mount(5, on: 4, at: "/a")]).owner(of: "/a/b")?.id == 5)
        #expect(MountTable([mount(5, on: 4, at: "/a")]).owner(of: "/b") == nil)
        #expect(MountTable([mount(1, on: 1, at: "/"), mount(2, on: 1, at: "/a")]).owner(of: "/a")?.id == 2)
        _ = MountTable([mount(1, on: 2, at: "/"), mount(2, on: 1, at: "/")]).owner(of: "/a")
        #expect(MountTable([mount(1, on: 0, at: "/")]).owner(of: "relative") == nil)
        #expect(MountTable([mount(1, on: 0, at: "/"), mount(2, on: 1, at: "x")]).owner(of: "/x")?.id == 1)
        #expect(MountTable([mount(1, on: 0, at: "/"), mount(2, on: 1, at: "/x")]).owner(of: "//x//y/")?.id == 2)
    }

    @Test("10,000 mounts are read and asked")
    func many() {
        let mounts = (2..<10_000).map { mount(UInt64($0), on: 1, at: BytePath("/mnt/\($0)")) }
        let bytes: [UInt8] = ([mount(1, on: 0, at: "/")] + mounts).flatMap { (mount: Mount) -> [UInt8] in
            mount.line + [0x0a]
        }
        let table = MountTable(MountInfo(parsing: bytes).mounts)
        #expect(table.mounts.allSatisfy { table.owner(of: $0.mountPoint)?.id == $0.id })
    }

    @Test(
        "the kernel agrees on hundreds of random real mounts, hidden ones and one on / included",
        .enabled(if: mayMount, "needs root and mount namespaces"), arguments: 1...4)
    func real(seed: Int) throws {
        var generator = SeededGenerator(state: UInt64(seed))
        let names = ["a", "b", "c d"]
        func randomPath() -> String {
            (0..<Int.random(in: 1...4, using: &generator)).map { _ in
                "/" + names[Int.random(in: 0..<3, using: &generator)]
            }.joined()
        }
        let scratch = try TemporaryDirectory()
        var script = "cd /; B='\(scratch.path)'; mount --make-rprivate /; mount -t tmpfs base \"$B\"\n"
        for step in 0..<150 {
            let (target, source) = (randomPath(), randomPath())
            script += "mkdir -p \"$B\(target)\" \"$B\(source)\" 2>/dev/null\n"
            switch Int.random(in: 0..<8, using: &generator) {
            case 0..<5: script += "mount -t tmpfs 't \(step)' \"$B\(target)\" 2>/dev/null\n"
            case 5..<7: script += "mount --bind \"$B\(source)\" \"$B\(target)\" 2>/dev/null\n"
            // Recursive binds multiply the mounts below: only early ones.
            default: if step < 40 { script += "mount --rbind \"$B\(source)\" \"$B\(target)\" 2>/dev/null\n" }
            }
        }
        var paths = [""]
        var level = [""]
        for _ in 0..<4 {
            level = level.flatMap { path in names.map { "\(path)/\($0)" } }
            paths += level
        }
        script += "mkdir -p \(paths.map { "\"$B\($0)\"" }.joined(separator: " ")) 2>/dev/null\n"
        if seed % 2 == 0 { script += "mount -t tmpfs hidden /\n" }
        script += "cat /proc/self/mountinfo; echo ==\n"
        for path in paths {
            script += """
                if [ -d "$B\(path)" ]; then exec 9<"$B\(path)"; while read -r key value; do
                [ "$key" = mnt_id: ] && printf '%s %s\\n' "$value" '\(path)'; done </proc/self/fdinfo/9; exec 9<&-; fi

                """
        }
        let file = try scratch.write(script, to: "script.sh")
        let (output, status) = try run("/usr/bin/unshare", ["-m", "/bin/sh", file])
        #expect(status == 0 || status == 1)
        let parts = String(decoding: output, as: UTF8.self).split(separator: "==\n")
        try #require(parts.count == 2)
        let info = MountInfo(parsing: Array(parts[0].utf8))
        #expect(info.errors.isEmpty)
        #expect(info.mounts.count > 100)
        let table = MountTable(info.mounts)
        let answers = parts[1].split(separator: "\n")
        #expect(answers.count > 40)
        for answer in answers {
            let fields = answer.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
            let path = BytePath(scratch.path + (fields.count > 1 ? String(fields[1]) : ""))
            #expect(table.owner(of: path)?.id == UInt64(fields[0]), "seed \(seed), \(path)")
        }
    }
}
