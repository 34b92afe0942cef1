import Catalog
import Environment
import Glibc
import LinuxKit
import Testing

/// SIGKILL at every system call that changes something, delivered by strace's fault injection.
@Suite struct KillTests {
    /// One file of each kind: a block above and below, a whole file, a link in new directories and in place of one.
    private static let plan = {
        var facts = facts(["TORCH_HOME": "/old"])
        facts.users = [.root]
        return EnvironmentPlan.make(
            facts, tools: Catalog.tools.filter { $0.id.hasPrefix("huggingface") || $0.id == "nltk" })
    }()

    private static func apply(_ path: String) -> EnvironmentApply {
        EnvironmentApply(
            runtimeDirectory: path + "/run",
            disabled: ["profile.d", "zshenv", "fish", "sshd", "pip.conf", "condarc", "python"], root: path)
    }

    /// What runs in the process that is killed.
    static let children: [String: @Sendable (String) throws -> Void] = [
        "apply": { try apply($0).apply(plan) },
        "revert": { try apply($0).revert() },
    ]

    private static let calls = [
        "fsync", "rename", "write", "unlink", "mkdir", "rmdir", "symlink", "lchown", "fchmod", "fchown", "utimensat",
    ]

    @Test(arguments: calls) func aKilledApplyLeavesNoHalfFileAndIsHealedByTheNext(call: String) throws {
        try kill("apply", at: call)
    }

    @Test(arguments: calls) func aKilledRevertLeavesNoHalfFileAndIsHealedByTheNext(call: String) throws {
        try kill("revert", at: call)
    }

    /// Kills `command` at each invocation of the call until it gets through.
    private func kill(_ command: String, at call: String) throws {
        let program = String(decoding: try LocalFile.linkTarget("/proc/self/exe"), as: UTF8.self)
        let pod = try ScratchPod(Scratch(in: "/dev/shm"))
        try AtomicFile.createDirectory(pod.path + "/root/nltk_data", mode: 0o750)
        let before = try pod.tree()
        try Self.apply(pod.path).apply(Self.plan)
        let after = try pod.tree()
        for number in 1...300 {
            if command == "apply" { try Self.apply(pod.path).revert() }
            let answer = try ChildProcess.capture(
                .init(
                    executable: "/usr/bin/strace",
                    arguments: [
                        "-f", "-qq", "-o", "/dev/null", "-e", "trace=\(call)", "-e",
                        "inject=\(call):signal=KILL:when=\(number)", program,
                    ] + ChildSide.probe.arguments + [command, pod.path],
                    environment: ["HOME": "/", "PATH": "/usr/bin:/bin"]),
                milliseconds: 60_000)
            #expect([.exited(0), .signalled(SIGKILL)].contains(answer.termination))
            for (path, entry) in try pod.tree() where !path.hasSuffix(".packet-agent.tmp") {
                let known = [before[path]?.contents, after[path]?.contents].contains(entry.contents)
                #expect(known || entry.contents == .directory, "\(call) \(number): \(path) is neither old nor new")
            }
            try Self.apply(pod.path).revert()
            expectSame(try pod.tree(), before, "\(call) \(number)")
            try Self.apply(pod.path).apply(Self.plan)
            #expect(try pod.tree().mapValues(\.contents) == after.mapValues(\.contents), "\(call) \(number)")
            if answer.termination == .exited(0) { return }
        }
        Issue.record("\(call) never came to an end")
    }
}
