import Glibc
import LinuxKit
import Testing

@testable import Storage

@Suite("the kernel's word for it")
struct RealMountTests {
    @Test(
        "statx names the same mount for every path among 2,000 random mounts, binds and over-mounts",
        .enabled(if: mayMount, "needs root and mount namespaces"))
    func twoThousand() throws {
        var generator = SeededGenerator(state: 2000)
        let names = ["a", "b", "c d", "e", "f"]
        func randomPath() -> String {
            // Shallow mounts hide all that is below: only a few.
            (0..<(Int.random(in: 0..<20, using: &generator) == 0 ? 1 : Int.random(in: 2...4, using: &generator))).map {
                _ in
                "/" + names[Int.random(in: 0..<names.count, using: &generator)]
            }.joined()
        }
        let scratch = try TemporaryDirectory()
        // A mount that fails, such as a bind of a directory that an over-mount hid, is left out: the count below tells.
        var script = "B='\(scratch.path)'; mount --make-rprivate /; mount -t tmpfs base \"$B\"; cd \"$B\"\n"
        for step in 0..<2300 {
            let (target, source) = (randomPath(), randomPath())
            script += "mkdir -p \".\(target)\" \".\(source)\"\n"
            if Int.random(in: 0..<3, using: &generator) > 0 {
                script += "mount -t tmpfs 't \(step)' \"$B\(target)\"\n"
            } else {
                script += "mount --bind \"$B\(source)\" \"$B\(target)\"\n"
            }
        }
        var paths = [""]
        var level = [""]
        for _ in 0..<4 {
            level = level.flatMap { path in names.map { "\(path)/\($0)" } }
            paths += level
        }
        // `cd` again: the directory under the first mount may be hidden by now.
        script += "cd \"$B\"; mkdir -p \(paths.map { "\".\($0)\"" }.joined(separator: " "))\n"
        // Keeps the namespace for the questions, and ends by itself if this process does.
        script += "sleep 600 >/dev/null 2>&1 & echo $!\n"
        let file = try scratch.write(script, to: "script.sh")
        let (output, _) = try run("/usr/bin/unshare", ["-m", "/bin/sh", "-c", ". \(file) 2>/dev/null"])
        let pid = try #require(Int32(String(decoding: output, as: UTF8.self).filter(\.isNumber)))
        defer { kill(pid, SIGKILL) }
        let info = MountInfo(parsing: try LocalFile.read("/proc/\(pid)/mountinfo"))
        #expect(info.errors.isEmpty)
        #expect(info.mounts.filter { $0.mountPoint.isWithin(BytePath(scratch.path)) }.count >= 2000)
        let table = MountTable(info.mounts)
        #expect(info.mounts.contains { !table.isVisible($0) })

        var wrong: [String] = []
        for path in paths.map({ scratch.path + $0 }) {
            // The link /proc/PID/root leads into the namespace of that process (proc_pid_root(5)).
            let status = try FileStatus("/proc/\(pid)/root\(path)", mode: .cached)
            let owner = table.owner(of: BytePath(path))?.id
            if owner == nil || owner != status.mountID {
                wrong.append("\(path): \(String(describing: owner)), statx \(String(describing: status.mountID))")
            }
        }
        #expect(wrong.isEmpty)
    }
}
