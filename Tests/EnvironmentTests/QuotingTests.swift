import Environment
import Glibc
import LinuxKit
import Testing

/// Values of every byte but NUL, through each layer's language and its real reader.
@Suite struct QuotingTests {
    /// Traps, all bytes, and random ones.
    static func values(seed: UInt64, count: Int = 300) -> [[UInt8]] {
        var generator = Seeded(state: seed)
        let traps = [
            "$(touch CANARY)", "`touch CANARY`", "'; touch CANARY; '", "\"; touch CANARY; \"", "'", "''", "\\", "\\'",
            "\"$HOME\"", "a\nb", "\n", " ", " a", "a ", "~", "*", "!x", "#", "a#b", "a #b", "\r", "\t", "%h", "${HOME}",
            "=",
            "a=b", "\\n", "\\\"", "é", "\u{202e}", "@{HOME}",
        ]
        var values = traps.map { Array($0.utf8) } + [Array(UInt8(1)...UInt8(255))]
        for index in 0..<count {
            values.append(
                (0..<Int.random(in: 1...24, using: &generator)).map { _ in
                    index % 2 == 0
                        ? UInt8.random(in: 1...255, using: &generator)
                        : UInt8.random(in: 0x20...0x7e, using: &generator)
                })
        }
        return values
    }

    private func name(_ index: Int) -> [UInt8] { Array("V\(index)=".utf8) }

    /// The entries of `env -0` that are ours, by index.
    private func seen(_ output: [UInt8]) -> [Int: [UInt8]] {
        var seen: [Int: [UInt8]] = [:]
        for entry in output.split(separator: 0) {
            guard entry.first == UInt8(ascii: "V"), let equals = entry.firstIndex(of: UInt8(ascii: "=")),
                let index = Int(String(decoding: entry[(entry.startIndex + 1)..<equals], as: UTF8.self))
            else { continue }
            seen[index] = Array(entry[(equals + 1)...])
        }
        return seen
    }

    private func check(_ seen: [Int: [UInt8]], _ values: [[UInt8]], isWritten: (Int) -> Bool) {
        var count = 0
        for (index, value) in values.enumerated() {
            guard isWritten(index) else {
                #expect(seen[index] == nil)
                continue
            }
            count += 1
            if seen[index] != value { Issue.record("\(value) became \(String(describing: seen[index]))") }
        }
        #expect(count > 20, "most values can be written")
    }

    @Test func sshdReadsEveryValueWithoutALineBreak() throws {
        try requirePrograms("/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen")
        let scratch = try Scratch()
        let values = Self.values(seed: 1)
        func isWritten(_ index: Int) -> Bool { !values[index].contains { $0 == 0x0a || $0 == 0x0d } }
        var line = Array("SetEnv".utf8)
        for (index, value) in values.enumerated() where isWritten(index) {
            line += [UInt8(ascii: " ")] + ShellQuoting.sshd(name(index) + value)
        }
        let server = try SSHServer(scratch, configuration: line + [UInt8(ascii: "\n")])
        check(seen(try server.run("cd '\(scratch.path)'; env -0")), values, isWritten: isWritten)
        #expect(access(scratch.path + "/CANARY", F_OK) != 0)
    }

    @Test func pamReadsEveryValueThatIsWritten() throws {
        try requirePrograms("/usr/bin/unshare", "/usr/bin/su")
        try #require(geteuid() == 0, "needs root, to show su another /etc/environment")
        let scratch = try Scratch()
        let values = Self.values(seed: 2, count: 1500)
        var text: [UInt8] = Array("# comment\n".utf8)
        var written: Set<Int> = []
        for (index, value) in values.enumerated() {
            guard let quoted = ShellQuoting.pam(value) else { continue }
            written.insert(index)
            text += name(index) + quoted + [UInt8(ascii: "\n")]
        }
        try AtomicFile.write(text, to: scratch.path + "/environment")
        let answer = try output(
            "/usr/bin/unshare",
            [
                "-m", "/bin/sh", "-c",
                "mount --bind '\(scratch.path)/environment' /etc/environment && cd '\(scratch.path)' && exec su root -s /bin/sh -c 'env -0'",
            ], environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
        check(seen(answer), values) { written.contains($0) }
        // Shells that source the file read the same.
        for shell in ["/bin/dash", "/bin/bash"] {
            let sourced = try output(
                shell, ["-c", "cd '\(scratch.path)'; set -a; . ./environment; exec env -0"],
                environment: ["PATH": "/usr/bin:/bin"])
            check(seen(sourced), values) { written.contains($0) }
        }
        #expect(access(scratch.path + "/CANARY", F_OK) != 0)
    }

    @Test func pythonReadsEveryValue() throws {
        try requirePrograms("/usr/bin/python3")
        let scratch = try Scratch()
        let values = Self.values(seed: 3)
        var code = Array("import os\n".utf8)
        for (index, value) in values.enumerated() {
            code += Array("os.environb[b'V\(index)'] = ".utf8) + ShellQuoting.pythonBytes(value) + [UInt8(ascii: "\n")]
        }
        code += Array("os.execv('/usr/bin/env', ['env', '-0'])\n".utf8)
        try AtomicFile.write(code, to: scratch.path + "/code.py")
        check(seen(try output("/usr/bin/python3", ["-I", scratch.path + "/code.py"])), values) { _ in true }
    }

    @Test func systemdReadsEveryValueThatItAllows() throws {
        try requirePrograms("/usr/bin/unshare", "/lib/systemd/systemd")
        let values = Self.values(seed: 4)
        var written: Set<Int> = []
        var script = Array("#!/bin/sh\n".utf8)
        for (index, value) in values.enumerated() {
            guard let quoted = ShellQuoting.systemd(value) else { continue }
            written.insert(index)
            script += Array("printf '%s\\n' ".utf8) + ShellQuoting.posix(name(index) + quoted) + [UInt8(ascii: "\n")]
        }
        let scratch = try Scratch()
        try AtomicFile.write(script, to: scratch.path + "/generator", mode: 0o755)
        check(seen(try SystemdManager.environment(scratch, generator: scratch.path + "/generator")), values) {
            written.contains($0)
        }
        #expect(access("CANARY", F_OK) != 0)
    }
}
