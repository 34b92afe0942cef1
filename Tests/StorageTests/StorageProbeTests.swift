import Glibc
import LinuxKit
import Testing

@testable import Storage

@Suite("probes")
struct StorageProbeTests {
    private let scratch: TemporaryDirectory
    private let mount = Mount(
        id: 77, parent: 1, device: .init(major: 0, minor: 9), root: "/", mountPoint: "/mnt/v", filesystem: "nfs4",
        source: "s:/e")

    init() throws { scratch = try TemporaryDirectory() }

    private func probe(_ script: String, deadline: Int = 60_000) throws -> StorageProbe {
        let program = try scratch.write("#!/bin/sh\n" + script + "\n", to: "probe", mode: 0o755)
        return StorageProbe(executable: program, deadline: deadline, lockDirectory: "\(scratch.path)/run")
    }

    @Test("an answer becomes the size of the volume")
    func answer() throws {
        let probe = try probe(
            #"echo "$@" > "$(dirname "$0")/arguments"; echo '{"size_bytes":100,"used_bytes":40,"writable":true}'"#)
        #expect(
            probe.space(of: mount)
                == .answered(.init(size: 100, used: 40, available: nil, freeFiles: nil, isWritable: true)))
        #expect(try LocalFile.readText("\(scratch.path)/arguments") == "probe statfs /mnt/v --proc /proc\n")
    }

    @Test("no answer in time is stuck, and the child is gone afterwards")
    func timeout() throws {
        let probe = try probe("echo $$ > \"$(dirname \"$0\")/pid\"; sleep 600", deadline: 2000)
        #expect(probe.space(of: mount) == .stuck("/mnt/v did not answer within 2000 ms"))
        let pid = try #require(Int32(try LocalFile.readText("\(scratch.path)/pid").dropLast()))
        #expect(kill(pid, 0) == -1)
    }

    @Test("while a child that cannot die holds the lock, nobody starts a second one")
    func outstanding() throws {
        // A process in a session of its own escapes the kill, as one that waits in the kernel would.
        let probe = try probe(
            """
            cd "$(dirname "$0")"; echo started >> starts; exec 3<&0
            setsid sh -c 'echo $$ > escaped; exec sleep 600' & sleep 600
            """, deadline: 3000)
        defer {
            if let pid = (try? LocalFile.readText("\(scratch.path)/escaped")).flatMap({ Int32($0.dropLast()) }) {
                kill(pid, SIGKILL)
            }
        }
        guard case .stuck = probe.space(of: mount) else { Issue.record("not stuck"); return }
        guard case .stuck(let reason) = probe.space(of: mount) else { Issue.record("not stuck"); return }
        #expect(reason.contains("has waited"))
        #expect(try LocalFile.readText("\(scratch.path)/starts") == "started\n")
    }

    @Test("an error of the file system, an answer that is none, and a program that is missing are told apart")
    func failures() throws {
        #expect(
            try probe(#"echo '{"errno":116}'"#).space(of: mount) == .refused("cannot examine /mnt/v: Stale file handle")
        )
        #expect(try probe("echo nonsense").space(of: mount) == .failed("the probe of /mnt/v ended without an answer"))
        let missing = StorageProbe(executable: "/nonexistent/program", lockDirectory: nil)
        guard case .failed = missing.space(of: mount) else { Issue.record("no failure"); return }
    }

    @Test("the child's side measures a directory and follows links in it")
    func child() throws {
        let space = try #require(StorageProbe.answer(arguments: ["statfs", scratch.path]))
        #expect((space.sizeBytes ?? 0) > 0)
        #expect((space.usedBytes ?? .max) <= (space.sizeBytes ?? 0))
        #expect(space.writable == true)
        #expect(StorageProbe.answer(arguments: ["statfs", "/nonexistent"])?.errorNumber == ENOENT)
        #expect(symlink("/etc/passwd", "\(scratch.path)/100%") == 0)
        let target = try #require(
            StorageProbe.answer(arguments: ["resolve", ProbePath.encode(BytePath("\(scratch.path)/100%"))]))
        #expect(target.exists == true)
        #expect(StorageProbe.answer(arguments: []) == nil)
        #expect(StorageProbe.answer(arguments: ["unlink", "/"]) == nil)
        #expect(StorageProbe.answer(arguments: ["statfs", "/", "--x"]) == nil)
    }

    @Test("a path of any bytes survives the command line")
    func arguments() {
        var generator = SeededGenerator(state: 3)
        for _ in 0..<2000 {
            let path = BytePath(bytes: (0..<20).map { _ in UInt8.random(in: 1...255, using: &generator) })
            #expect(ProbePath.decode(ProbePath.encode(path)) == path)
        }
    }
}
