import Glibc
import LinuxKit
import Testing

@testable import Limits

/// A tree of files like the kernel's, in a directory of its own.
private struct Tree: ~Copyable {
    let path: String

    init(_ files: [String: String]) throws {
        path = "/tmp/limits-tests.\(getpid()).\(UInt32.random(in: .min ... .max))"
        for (name, text) in files {
            let file = "\(path)/\(name)"
            try AtomicFile.createDirectory(String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)]))
            try AtomicFile.write(Array(text.utf8), to: file)
        }
    }

    func read() -> ContainerLimits { .read(proc: path + "/proc", cgroup: path + "/cgroup", shm: path + "/none") }
}

@Suite("container limits") struct ContainerLimitsTests {
    @Test("version 2 in a name space of its own: page cache is not counted as used")
    func unified() throws {
        let tree = try Tree([
            "proc/self/cgroup": "0::/\n", "cgroup/cgroup.controllers": "memory pids\n",
            "cgroup/memory.current": "1000\n", "cgroup/memory.max": "2000\n",
            "cgroup/memory.stat": "anon 300\nfile 700\nactive_file 200\ninactive_file 400\n",
            "cgroup/memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\n",
            "cgroup/pids.current": "80\n", "cgroup/pids.max": "100\n",
        ])
        let limits = tree.read()
        #expect(limits.memory == .init(used: 400, cache: 600, limit: 2000, outOfMemoryKills: 2))
        #expect(limits.pids == .init(used: 80, limit: 100) && limits.pids?.percent == 80)
        #expect(limits.sharedMemory == nil)
        let disk = try #require(ContainerLimits.space(of: "/"))
        #expect(disk.used > 0 && disk.used <= disk.limit)
    }

    @Test("a limit further up counts when it leaves less room")
    func ancestors() throws {
        let tree = try Tree([
            "proc/self/cgroup": "0::/pods/one\n", "cgroup/cgroup.controllers": "memory\n",
            "cgroup/pods/one/memory.current": "100\n", "cgroup/pods/one/memory.max": "1000\n",
            "cgroup/pods/memory.current": "900\n", "cgroup/pods/memory.max": "1000\n",
            "cgroup/pods/one/pids.current": "7\n", "cgroup/pods/one/pids.max": "max\n",
        ])
        let limits = tree.read()
        #expect(limits.memory?.used == 900 && limits.memory?.limit == 1000)
        #expect(limits.pids == nil)
    }

    @Test("version 1, and its way of saying that there is no limit")
    func versionOne() throws {
        let tree = try Tree([
            "proc/self/cgroup": "9:pids:/\n8:memory:/\n1:name=systemd:/\n",
            "cgroup/memory/memory.usage_in_bytes": "1000\n",
            "cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "cgroup/memory/memory.stat": "cache 5\ntotal_active_file 100\ntotal_inactive_file 200\n",
            "cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
            "cgroup/pids/pids.current": "3\n", "cgroup/pids/pids.max": "4\n",
        ])
        let limits = tree.read()
        #expect(limits.memory == .init(used: 700, cache: 300, limit: nil, outOfMemoryKills: 4))
        #expect(limits.pids == .init(used: 3, limit: 4))
    }

    @Test("garbage is no limit")
    func garbage() throws {
        let tree = try Tree([
            "proc/self/cgroup": "::::\nx\n0::/../../..\n", "cgroup/cgroup.controllers": "",
            "cgroup/memory.current": "-1\n", "cgroup/memory.max": "many\n", "cgroup/pids.max": "",
        ])
        #expect(tree.read() == ContainerLimits())
    }

    @Test("the processes of this machine: this one has memory and open files")
    func real() throws {
        let largest = try #require(Processes().largest())
        #expect(largest.bytes > 0 && largest.pid > 0)
        let files = try #require(ContainerLimits.read().openFiles)
        #expect(files.use.used > 0 && files.use.limit > 0)
    }
}
