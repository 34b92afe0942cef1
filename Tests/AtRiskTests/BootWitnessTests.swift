import Glibc
import LinuxKit
import Storage
import Testing

@testable import AtRisk

/// Each test runs in a pid namespace with a /proc of its own, where nobody else is.
@Suite("boot witness", .enabled(if: mayMount, "needs root and namespaces"))
struct BootWitnessTests {
    /// Runs `before` (which prints "ready"), then `meanwhile` while the witness looks, and gives the names it found.
    private func others(before: String = "echo ready", meanwhile: String) throws -> [String] {
        // The shell's first child stands for the agent; `own` descends from it, everything else does not.
        let script = """
            mount -t proc proc /proc; (\(before)) & sleep 600 & echo $!; while read line; do eval "$line"; echo done; done
            """
        var (toShell, fromShell): ([Int32], [Int32]) = ([0, 0], [0, 0])
        try #require(pipe(&toShell) == 0 && pipe(&fromShell) == 0)
        for end in toShell + fromShell { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let shell = try ChildProcess.spawn(
            .init(
                executable: "/usr/bin/unshare",
                arguments: ["-m", "-p", "--fork", "--kill-child", "/bin/bash", "-c", script],
                environment: ["PATH": PodNamespace.path], descriptors: (toShell[0], fromShell[1], nil)))
        defer {
            shell.signalGroup(SIGKILL)
            _ = shell.wait(milliseconds: 5000)
            for end in [toShell[1], fromShell[0]] { close(end) }
        }
        close(toShell[0])
        close(fromShell[1])
        func line() throws -> String {
            var (text, byte) = ("", UInt8(0))
            while read(fromShell[0], &byte, 1) == 1, byte != 0x0a { text.unicodeScalars.append(Unicode.Scalar(byte)) }
            return text
        }
        // Two lines in any order: the number of our process, and that the other one runs.
        let lines = [try line(), try line()]
        #expect(lines.contains("ready"))
        let own = try #require(lines.lazy.compactMap { Int32($0) }.first)
        // The namespace's /proc is seen through its first process, a child of unshare.
        let children = try LocalFile.readText("/proc/\(shell.pid)/task/\(shell.pid)/children")
        let first = try #require(children.split(separator: " ").first)
        let witness = try BootWitness.start(proc: "/proc/\(first)/root/proc", own: own)
        let command = Array("\(meanwhile)\n".utf8)
        try #require(write(toShell[1], command, command.count) == command.count)
        #expect(try line() == "done")
        return witness.stop()
    }

    @Test("a process that was there before and is idle did nothing, and neither did our ancestors")
    func alone() throws {
        #expect(
            try others(before: "exec perl -e '$| = 1; print qq(ready\\n); sleep 500'", meanwhile: "read -t 1 line; :")
                == [])
    }

    @Test("a process that starts meanwhile is noticed")
    func starts() throws {
        #expect(try others(meanwhile: "perl -e 'select undef, undef, undef, 1' & wait $!") == ["perl"])
    }

    @Test("a process that was there before and writes, or waits for a child of its own, is noticed")
    func writes() throws {
        let loop = "$| = 1; print qq(ready\\n); while (1) { select undef, undef, undef, 0.05;"
        let writer = "exec perl -e 'open F, q(>/dev/null); \(loop) syswrite F, 1 }'"
        #expect(try others(before: writer, meanwhile: "read -t 1 line; :") == ["perl"])
        // The children end between two looks.
        let parent = "exec perl -e '\(loop) fork || exit; wait }'"
        #expect(try others(before: parent, meanwhile: "read -t 1 line; :").contains("perl"))
    }

    @Test("our own descendants are nobody else, also when their parents ended")
    func descendants() throws {
        // Every process of this machine is watched here: only what the child started must not be told.
        let name = "packet-agent-nap-\(getpid())"
        let tree = try ScratchTree("ln -s /bin/sleep \(name)")
        let nap = tree.path.appending(name).description
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let child = try ChildProcess.spawn(
            .init(
                executable: "/bin/sh",
                arguments: ["-c", "(\(nap) 0.4; (\(nap) 600; :) & \(nap) 0.4) & \(nap) 0.9; echo done; \(nap) 600"],
                environment: ["PATH": PodNamespace.path], descriptors: (nil, ends[1], nil)))
        defer {
            child.signalGroup(SIGKILL)
            _ = child.wait(milliseconds: 5000)
        }
        close(ends[1])
        let witness = try BootWitness.start()
        #expect(try Descriptor(owning: ends[0]).readToEnd(limit: 5) == Array("done\n".utf8))
        #expect(!witness.stop().contains(name))
    }
}
