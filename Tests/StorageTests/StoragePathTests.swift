import FoundationEssentials
import Glibc
import LinuxKit
import Testing

@testable import Storage

/// `packet-agent storage PATH...` on a real directory below an imagined mount table.
@Suite("storage of a path")
struct StoragePathTests {
    /// The scratch directory belongs to a container's layer; `volume` in it to an NFS export, `bind` to an emptyDir volume,
    /// `over` to a mount on top of another, `old` to a mount whose source was deleted.
    private func report(
        _ scratch: TemporaryDirectory, _ paths: [BytePath], from directory: BytePath? = nil, probe: StorageProbe? = nil,
        scope: StorageFacts.Scope = .pathsOnly
    ) throws -> StorageReport {
        let base = BytePath(scratch.path)
        func line(_ id: Int, _ parent: Int, _ root: String, _ at: BytePath, _ rest: String) -> [UInt8] {
            var mount = Array("\(id) \(parent) 8:\(id) \(root) ".utf8)
            mount += at.bytes + Array(" rw - \(rest)\n".utf8)
            return mount
        }
        let empty = "/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/scratch"
        var lines = line(10, 1, "/", "/", "overlay overlay rw,upperdir=/u")
        lines += line(11, 10, "/", base.appending("volume"), "nfs4 s:/e rw")
        lines += line(12, 10, empty, base.appending("bind"), "ext4 /dev/sda rw")
        lines += line(13, 10, "/", base.appending("over/deep"), "nfs4 s:/hidden rw")
        lines += line(14, 10, "/", base.appending("over"), "tmpfs t rw")
        lines += line(15, 10, "/was//deleted", base.appending("old"), "ext4 /dev/sda rw")
        try AtomicFile.createDirectory("\(scratch.path)/proc/self")
        try AtomicFile.write(lines, to: "\(scratch.path)/proc/self/mountinfo")
        return try StorageReport.gather(
            paths: paths,
            options: StorageFacts.Options(
                procRoot: "\(scratch.path)/proc", probe: probe, workingDirectory: directory ?? base, isKubernetes: true,
                volumeParent: "/nonexistent", scope: scope))
    }

    private func link(_ target: String, _ scratch: TemporaryDirectory, _ name: String) {
        #expect(symlink(target, "\(scratch.path)/\(name)") == 0)
    }

    @Test("a path that does not exist yet belongs to the nearest directory that does")
    func missing() throws {
        let scratch = try TemporaryDirectory()
        try AtomicFile.createDirectory("\(scratch.path)/here")
        let entries = try report(
            scratch, [BytePath("\(scratch.path)/here/a/b"), BytePath("\(scratch.path)/bind/new"), "here"]
        ).paths
        #expect(entries[0].exists == false)
        #expect(entries[0].existingParent == "\(scratch.path)/here")
        #expect(entries[0].lifetime == .container)
        #expect(entries[1].existingParent == "\(scratch.path)/bind")
        #expect(entries[1].lifetime == .pod)
        #expect(entries[2].exists == true && entries[2].existingParent == nil)
    }

    @Test("a mount that does not answer is waited for once, not once per path")
    func silent() throws {
        let scratch = try TemporaryDirectory()
        let program = try scratch.write(
            "#!/bin/sh\necho asked >> \"$(dirname \"$0\")/asked\"\nsleep 600\n", to: "probe", mode: 0o755)
        let paths = (0..<5).map { BytePath("\(scratch.path)/volume/models/\($0)") }
        let probe = StorageProbe(executable: program, deadline: 2000, lockDirectory: nil)
        for scope in [StorageFacts.Scope.everything, .pathsOnly] {
            unlink("\(scratch.path)/asked")
            let entries = try report(scratch, paths, probe: probe, scope: scope).paths
            #expect(entries.allSatisfy { $0.exists == nil && $0.lifetime == .volume })
            #expect(try LocalFile.readText("\(scratch.path)/asked") == "asked\n")
        }
    }

    @Test("bind mounts, over-mounts and deleted mounts answer by the mount that is on top")
    func mounts() throws {
        let scratch = try TemporaryDirectory()
        let found = try report(scratch, ["bind", "over/deep/x", "old/x", "bind/../volume", "bindings"]).paths
        #expect(found.map(\.lifetime) == [.pod, .pod, .container, .volume, .container])
        #expect(found[1].mountPoint == "\(scratch.path)/over")
        #expect(found[2].reason.contains("deleted"))
    }

    @Test("each link on the way is told, relative and absolute ones, to a volume and to nothing")
    func links() throws {
        let scratch = try TemporaryDirectory()
        try AtomicFile.createDirectory("\(scratch.path)/cache")
        link("second", scratch, "first")
        link("\(scratch.path)/cache/../volume", scratch, "second")
        link("nowhere", scratch, "dangling")
        let found = try report(scratch, ["first/models", "dangling"]).paths
        #expect(found[0].lifetime == .volume)
        #expect(found[0].resolved == "\(scratch.path)/volume/models")
        #expect(found[0].hops?.map(\.link) == ["\(scratch.path)/first", "\(scratch.path)/second"])
        #expect(found[0].hops?.map(\.target) == ["second", "\(scratch.path)/cache/../volume"])
        #expect(found[1].exists == false && found[1].resolved == "\(scratch.path)/nowhere")
    }

    @Test("a loop of links is unknown, and the other paths are still answered")
    func loop() throws {
        let scratch = try TemporaryDirectory()
        link("b", scratch, "a")
        link("a", scratch, "b")
        let found = try report(scratch, ["a/x", "bind", ""]).paths
        #expect(found.map(\.lifetime) == [.unknown, .pod, .unknown])
        #expect(found[0].reason.contains("a loop"))
        #expect(found[0].mountPoint == nil)
    }

    @Test("spaces, newlines, escape sequences and bytes that are not UTF-8 are followed exactly and shown escaped")
    func oddNames() throws {
        let scratch = try TemporaryDirectory()
        let name: [UInt8] = Array("a b\n\u{1b}[2J".utf8) + [0xff]
        let odd = BytePath(scratch.path).appending(name)
        #expect(odd.withCString { mkdir($0, 0o700) } == 0)
        link(String(decoding: Array("nowhere\u{1b}[31m".utf8), as: UTF8.self), scratch, "colour")
        let found = try report(scratch, [BytePath(bytes: name), "colour"]).paths
        #expect(found[0].exists == true)
        #expect(found[0].resolvedBase64 == Data(odd.bytes).base64EncodedString())
        #expect(found[0].resolved == "\(scratch.path)/a b\\x0a\\x1b[2J\\xff")
        // Text that is UTF-8 is exact in JSON; whoever prints it escapes it.
        #expect(TerminalText.escape(found[1].resolved) == "\(scratch.path)/nowhere\\x1b[31m")
        #expect(try #require(found[1].hops).allSatisfy { !TerminalText.escape($0.target).contains("\u{1b}") })
    }

    @Test("names of 4,096 bytes cannot exist, and paths of more than 4,096 bytes cannot be told")
    func longNames() throws {
        let scratch = try TemporaryDirectory()
        let long = String(repeating: "n", count: 4096)
        let deep = Array(repeating: String(repeating: "d", count: 200), count: 30).joined(separator: "/")
        #expect(chdirThread("\(scratch.path)", deep))
        let found = try report(scratch, [BytePath(long), BytePath("\(long)/x"), BytePath(deep)]).paths
        #expect(found.map(\.exists) == [false, false, nil])
        #expect(found.allSatisfy { $0.lifetime == .container })
        #expect(found[0].existingParent == scratch.path)
    }

    /// Makes a directory whose absolute path is too long for one system call.
    private func chdirThread(_ base: String, _ path: String) -> Bool {
        let steps = path.split(separator: "/").map { "mkdir -p \($0) && cd -P ./\($0)" }.joined(separator: " && ")
        return (try? run("/bin/sh", ["-c", "cd '\(base)' && \(steps)"]).status) == 0
    }

    @Test("only a volume that a path enters is waited for")
    func pathsOnly() throws {
        let scratch = try TemporaryDirectory()
        let program = try scratch.write(
            "#!/bin/sh\necho \"$2\" >>'\(scratch.path)/asked'\nsleep 600\n", to: "probe", mode: 0o755)
        let probe = StorageProbe(executable: program, deadline: 300, lockDirectory: nil)
        let aside = try report(scratch, ["bind/x"], probe: probe)
        #expect(aside.paths[0].lifetime == .pod)
        #expect(aside.mounts.isEmpty && aside.volumes.isEmpty)
        #expect(access("\(scratch.path)/asked", F_OK) != 0)
        let inside = try report(scratch, ["volume/x"], probe: probe)
        #expect(inside.paths[0].lifetime == .volume && inside.paths[0].exists == nil)
        #expect(access("\(scratch.path)/asked", F_OK) == 0)
    }

    @Test("inside a volume the child's answer gives the links and the nearest directory that exists")
    func insideVolume() throws {
        let scratch = try TemporaryDirectory()
        func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
        let volume = "\(scratch.path)/volume"
        let answer =
            #"{"resolved_b64":"\#(base64("\(volume)/real/new"))","exists":false,"existing_b64":"\#(base64("\(volume)/real"))","#
            + #""hops_b64":[["\#(base64("\(volume)/link"))","\#(base64("real"))"]]}"#
        let program = try scratch.write("#!/bin/sh\necho '\(answer)'\n", to: "probe", mode: 0o755)
        let found = try report(
            scratch, ["volume/link/new"], probe: StorageProbe(executable: program, lockDirectory: nil)
        ).paths[0]
        #expect(found.resolved == "\(volume)/real/new" && found.exists == false)
        #expect(found.existingParent == "\(volume)/real")
        #expect(found.hops?.map(\.target) == ["real"])
    }
}
