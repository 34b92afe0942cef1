import Glibc
import LinuxKit
import Synchronization
import Testing

@testable import Storage

@Suite("tree walk")
struct TreeWalkTests {
    @Test("it sees what find sees, on one thread and on several", arguments: [1, 2, 5])
    func likeFind(threads: Int) throws {
        let scratch = try TemporaryDirectory()
        try run(
            "/bin/sh",
            [
                "-c",
                "cd \(scratch.path) && for d in 1 2 3; do for e in 1 2 3 4; do mkdir -p $d/$e/x && echo x > $d/$e/x/f && ln -s f $d/$e/x/l && mkfifo $d/$e/p; done; done",
            ])
        let (output, _) = try run("/usr/bin/find", [scratch.path, "(", "-type", "f", "-o", "-type", "l", ")"])
        let expected = Set(output.split(separator: 0x0a).map { BytePath(bytes: $0) })
        let (entries, summary) = TreeWalk(threads: threads).entries(below: BytePath(scratch.path))
        #expect(Set(entries.map(\.path)) == expected)
        #expect(entries.map(\.path) == entries.map(\.path).sorted())
        #expect(summary == TreeWalk.Summary(files: expected.count))
    }

    @Test("a directory with many names is shared between threads, and every name is seen once", arguments: [1, 2, 7])
    func manyNames(threads: Int) throws {
        let scratch = try TemporaryDirectory()
        try run("/bin/sh", ["-c", "cd \(scratch.path) && seq 5000 | xargs touch && mkdir sub && touch sub/file"])
        let progress = Mutex(0)
        let walk = TreeWalk(threads: threads, progress: { count in progress.withLock { $0 += count } })
        let (entries, summary) = walk.entries(below: BytePath(scratch.path))
        #expect(Set(entries.map(\.path)).count == 5001)
        #expect(summary == TreeWalk.Summary(files: 5001))
        #expect(progress.withLock { $0 } == 5001)
    }

    @Test("a tree that others change meanwhile is walked to its end, and nothing in it is called unreadable")
    func vanishing() throws {
        let scratch = try TemporaryDirectory()
        let script = """
            cd \(scratch.path); while :; do mkdir -p a/b && echo x > a/b/f && rm -r a && ln -s /usr a && rm a && echo x > a && rm a; done
            """
        let child = try ChildProcess.spawn(
            .init(executable: "/bin/sh", arguments: ["-c", script], environment: ["PATH": "/usr/bin:/bin"]))
        defer {
            child.signalGroup(SIGKILL)
            _ = child.wait(milliseconds: 5000)
        }
        for _ in 0..<2000 {
            let (entries, summary) = TreeWalk().entries(below: BytePath(scratch.path))
            #expect(summary.isComplete && summary.unreadable == [])
            #expect(entries.allSatisfy { $0.path.isWithin(BytePath(scratch.path)) } && entries.count < 2)
        }
    }

    @Test("a directory that is skipped is left out with everything below it")
    func skip() throws {
        let scratch = try TemporaryDirectory()
        _ = try scratch.write("x", to: "in/file")
        _ = try scratch.write("x", to: "out/deep/file")
        let skipped = BytePath(scratch.path).appending("out")
        let (entries, _) = TreeWalk().entries(below: BytePath(scratch.path)) { $0 == skipped }
        #expect(entries.map(\.path.lastComponent) == ["file"])
    }

    @Test("a start that is not there is unreadable, and a cancelled walk ends incomplete")
    func ends() {
        let (_, missing) = TreeWalk().entries(below: "/nonexistent")
        #expect(missing.unreadable == ["/nonexistent"])
        #expect(!missing.isComplete)
        let asked = Mutex(0)
        let walk = TreeWalk(isCancelled: {
            asked.withLock {
                $0 += 1; return $0 > 3
            }
        })
        #expect(!walk.entries(below: "/usr").summary.isComplete)
    }

    @Test(
        "a bind mount of the same file system is another mount and is not entered",
        .enabled(if: mayMount, "needs root and mount namespaces"))
    func boundary() throws {
        let scratch = try TemporaryDirectory()
        _ = try scratch.write("x", to: "tree/file")
        _ = try scratch.write("x", to: "elsewhere/other")
        try AtomicFile.createDirectory("\(scratch.path)/tree/bind")
        let script =
            "mount --bind '\(scratch.path)/elsewhere' '\(scratch.path)/tree/bind' && echo ready && exec sleep 600"
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let child = try ChildProcess.spawn(
            .init(
                executable: "/usr/bin/unshare", arguments: ["-m", "/bin/sh", "-c", script],
                environment: ["PATH": "/usr/bin:/bin"], descriptors: (nil, ends[1], nil)))
        defer {
            child.signalGroup(SIGKILL)
            _ = child.wait(milliseconds: 5000)
        }
        close(ends[1])
        #expect(try Descriptor(owning: ends[0]).readToEnd(limit: 6) == Array("ready\n".utf8))
        let walk = TreeWalk(diskRoot: BytePath("/proc/\(child.pid)/root"))
        let (entries, _) = walk.entries(below: BytePath("\(scratch.path)/tree"))
        #expect(entries.map(\.path.lastComponent) == ["file"])
    }
}
