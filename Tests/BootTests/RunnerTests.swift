import Boot
import Environment
import Glibc
import LinuxKit
import Settings
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct RunnerTests {
    @Test func aWholeBootOnRealFiles() throws {
        let scratch = try Scratch()
        let root = scratch.path
        let mount = root + "/volume"
        try AtomicFile.createDirectory(root + "/etc/profile.d")
        try AtomicFile.createDirectory(root + "/proc/1")
        try AtomicFile.createDirectory(root + "/proc/sys/kernel/random")
        try AtomicFile.createDirectory(mount)
        try AtomicFile.write("PATH=/usr/bin:/bin\0HF_HOME=/root/hf\0NAME=value\0".utf8, to: root + "/proc/1/environ")
        try AtomicFile.write("b\n".utf8, to: root + "/proc/sys/kernel/random/boot_id")
        try AtomicFile.write(LocalFile.read("/proc/self/stat"), to: root + "/proc/1/stat")
        try AtomicFile.write("#!/bin/sh\necho \"$HF_HOME $NAME\"\nexit 3\n".utf8, to: mount + "/setup.sh", mode: 0o755)
        let configuration = {
            var configuration = AgentConfiguration()
            configuration.agent.runtimeDirectory = root + "/run"
            return configuration
        }()
        let looks = Mutex(0)
        var effects = BootRunner.Effects.system(
            configuration: { configuration },
            inspectMounts: {
                let first = looks.withLock {
                    $0 += 1
                    return $0 == 1
                }
                let volume = BootVolume(
                    name: "v", mountPoint: mount, state: first ? .missing : .ready, isExpected: true)
                return MountFacts(volumes: [volume], primary: first ? nil : 0, why: "the only volume")
            },
            isPersistent: { $0.hasPrefix(mount) }, probe: BootChildSide.probe, root: root, proc: root + "/proc")
        effects.waitForMounts = { _ in }
        let states = Mutex<[BootReport.State]>([])
        let write = effects.record
        effects.record = { report in
            states.withLock { if $0.last != report.state { $0.append(report.state) } }
            write(report)
        }
        let report = BootRunner(effects: effects, options: .init(waitSeconds: 30)).run()

        #expect(report.state == .degraded, "\(report)")
        #expect(states.withLock { $0 } == [.waiting, .setup, .degraded])
        #expect(report.steps.map(\.state) == [.done, .done, .done, .done, .failed], "\(report)")
        #expect(report.steps.last?.detail?.contains("status 3") == true)
        #expect(BootReport.load(runtimeDirectory: root + "/run") == report)
        #expect(try LocalFile.readText(root + "/run/setup.log") == mount + "/huggingface value\n")
        #expect(try FileStatus(mount + "/huggingface").kind == .directory)
        #expect(access(root + "/run/volume.ready", F_OK) == 0)
        let command = ". \(root)/etc/profile.d/packet-agent.sh; printf %s \"$PIP_CACHE_DIR\""
        let login = try ChildProcess.capture(
            .init(executable: "/bin/sh", arguments: ["-c", command], environment: ["HOME": "/root"]),
            milliseconds: 20_000)
        #expect(String(decoding: login.output, as: UTF8.self) == mount + "/.packet/cache/pip")

        // One line for whoever logs in; the state of the boot itself is over.
        let line = try LocalFile.readText(root + "/run/login.boot")
        #expect(line.hasPrefix("Boot failed at setup: it ended with status 3"))
        #expect(line.hasSuffix("See: packet-agent status\n"))
        #expect(access(root + "/run/booting", F_OK) != 0)

        let text = try LocalFile.readText(root + "/run/boot.json")
        for key in ["\"schema\" : \"packet-agent/boot/1\"", "\"started_at\"", "\"duration_ms\"", "\"detail\""] {
            #expect(text.contains(key))
        }
    }
}
