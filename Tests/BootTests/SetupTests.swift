import Boot
import Environment
import Glibc
import LinuxKit
import Testing

@Suite(.timeLimit(.minutes(5))) struct SetupTests {
    let scratch: Scratch
    let pod: SetupPod

    init() throws {
        scratch = try Scratch()
        pod = SetupPod(path: scratch.path)
    }

    @Test func aScriptRunsInTheVolumeWithTheEnvironmentAndItsOutputIsKept() throws {
        try pod.script("#!/bin/bash\npwd\necho \"$GREETING $HOME $DEBIAN_FRONTEND\" >&2\nread -r x || echo no input\n")
        let record = pod.run(environment: ["GREETING": "hi"])
        #expect(record.state == .succeeded)
        #expect(record.exitCode == 0)
        #expect(record.reason == nil)
        #expect(record.warnings.isEmpty)
        #expect(pod.log == "\(pod.volume)\nhi /root noninteractive\nno input\n")
        #expect(try pod.runner.logTail(lines: 1) == ["no input"])
        let script = try #require(record.scripts?.first)
        #expect(script.name == "setup.sh" && script.state == .succeeded)
        let copy = "\(scratch.path)/run/setup/\(script.sha256 ?? "").\(geteuid()).sh"
        #expect(try FileStatus(copy).permissions == 0o500)
        #expect(try FileStatus(scratch.path + "/run/setup").permissions == 0o711)
        #expect(pod.runner.current() == record)
    }

    @Test func theFinishedLogIsCopiedToTheVolumePrivately() throws {
        try pod.script("#!/bin/sh\necho kept\n")
        pod.run()
        let logs = pod.volume + "/.packet/logs"
        #expect(try FileStatus(logs).permissions == 0o700)
        let found = try ChildProcess.capture(
            .init(executable: "/bin/sh", arguments: ["-c", "cat '\(logs)'/setup-*.log"], environment: [:]),
            milliseconds: 20_000)
        #expect(String(decoding: found.output, as: UTF8.self) == "kept\n")
    }

    @Test func aFailingScriptSaysItsStatus() throws {
        try pod.script("#!/bin/sh\nexit 3\n")
        let record = pod.run()
        #expect(record.state == .failed)
        #expect(record.exitCode == 3)
        #expect(record.reason == "it ended with status 3")
        try pod.script("#!/bin/sh\nkill -SEGV $$\n")
        #expect(pod.run().exitCode == 139)
    }

    @Test func aMissingScriptOrVolumeIsAbsentAndLeavesNothingOnTheVolume() throws {
        #expect(pod.run().state == .absent)
        #expect(pod.runner.run(volume: nil, environment: { _ in [:] }).reason == "there is no volume")
        #expect(!pod.exists(".packet"))
    }

    @Test func aScriptRunsOncePerContainerStart() throws {
        try pod.script("#!/bin/sh\necho run >>count\n")
        #expect(pod.run().state == .succeeded)
        #expect(pod.run().state == .succeeded)
        #expect(try pod.text("count") == "run\n")
        #expect(pod.run(force: true).state == .succeeded)
        #expect(try pod.text("count") == "run\nrun\n")
        var next = pod
        next.start = "boot:2"
        #expect(next.runner.current().state == .absent)
        next.run()
        #expect(try pod.text("count") == "run\nrun\nrun\n")
    }

    @Test func aFailedScriptIsNotRepeatedButAChangedOneRuns() throws {
        try pod.script("#!/bin/sh\necho run >>count; exit 1\n")
        #expect(pod.run().exitCode == 1)
        #expect(pod.run().exitCode == 1)
        try pod.script("#!/bin/sh\necho new >>count\n")
        #expect(pod.run().state == .succeeded)
        #expect(try pod.text("count") == "run\nnew\n")
    }

    @Test func aLinkIsRefusedAlsoOnTheWay() throws {
        symlink("/bin/true", pod.volume + "/setup.sh")
        #expect(pod.run().state == .refused)
        unlink(pod.volume + "/setup.sh")
        try AtomicFile.createDirectory(scratch.path + "/outside")
        try AtomicFile.write("#!/bin/sh\ntouch ran\n".utf8, to: scratch.path + "/outside/s.sh", mode: 0o755)
        symlink(scratch.path + "/outside", pod.volume + "/in")
        for path in ["in/s.sh", "../outside/s.sh", scratch.path + "/outside/s.sh", "/proc/self/exe"] {
            var other = pod
            other.options.script = path
            #expect(other.run().state == .refused, "\(path)")
        }
        #expect(!pod.exists("ran"))
    }

    @Test(arguments: [0o777, 0o757, 0o722] as [UInt32]) func aScriptThatOthersCanWriteIsRefused(mode: UInt32) throws {
        try pod.script("#!/bin/sh\ntouch ran\n", mode: mode)
        let record = pod.run()
        #expect(record.state == .refused)
        #expect(record.reason?.contains("chmod o-w") == true)
        #expect(!pod.exists("ran"))
        #expect(record.log == nil)
    }

    @Test func whatIsNoPlainFileIsRefused() throws {
        mkfifo(pod.volume + "/setup.sh", 0o700)
        #expect(pod.run().state == .refused)
        unlink(pod.volume + "/setup.sh")
        mkdir(pod.volume + "/setup.sh", 0o700)
        #expect(pod.run().state == .refused)
        rmdir(pod.volume + "/setup.sh")
        try pod.script(String(repeating: "#", count: (1 << 20) + 1))
        #expect(pod.run().reason?.contains("1 MiB") == true)
        try pod.script("#!/bin/sh\n")
        link(pod.volume + "/setup.sh", pod.volume + "/second")
        #expect(pod.run().reason?.contains("2 names") == true)
    }

    @Test(.enabled(if: getuid() == 0)) func onlyRootTheVolumesOwnerAndConfiguredUsersAreTrusted() throws {
        try pod.script("#!/bin/sh\n")
        chown(pod.volume + "/setup.sh", 1234, 0)
        #expect(pod.run().reason?.contains("user 1234") == true)
        var allowed = pod
        allowed.options.allowedOwners = [1234]
        #expect(allowed.run().state == .succeeded)
        chown(pod.volume, 1234, 0)
        #expect(pod.run(force: true).state == .succeeded)
    }

    @Test func windowsLineEndsAndAMissingFirstLineAreWarnedOf() throws {
        try pod.script("\u{feff}#!/bin/sh\r\nif true; then\r\necho hello\r\nfi\r\n")
        let windows = pod.run()
        #expect(windows.warnings.contains { $0.contains("CRLF") })
        #expect(windows.state == .succeeded)
        #expect(pod.log == "hello\n")
        try pod.script("[[ -n $BASH_VERSION ]] && echo bash\n")
        let bare = pod.run()
        #expect(bare.state == .succeeded)
        #expect(bare.warnings.contains { $0.contains("#!") })
        #expect(pod.log == "bash\n")
    }

    @Test func theInterpreterOfTheFirstLineRunsTheScript() throws {
        try pod.script("#! /bin/sh -e \nfalse; echo unreachable\n")
        let record = pod.run()
        #expect(record.exitCode == 1)
        #expect(!pod.log.contains("unreachable"))
        try pod.script("#!/no/such/interpreter\n")
        let missing = pod.run()
        #expect(missing.state == .failed)
        #expect(missing.reason?.contains("/no/such/interpreter") == true)
    }

    @Test func backgroundProcessesHoldNothingUpAndLiveOn() throws {
        var pod = pod
        pod.options.drainMilliseconds = 50
        try pod.script("#!/bin/bash\n(sleep 300; echo late) &\necho $! >pid\n")
        #expect(pod.run().state == .succeeded)
        let pid = try pod.number("pid")
        #expect(!isDead(pid))
        // The session's leader is gone, its group is still there.
        kill(-getpgid(pid), SIGKILL)
    }

    @Test func aScriptThatTakesTooLongIsEndedWithItsChildren() throws {
        var pod = pod
        pod.options.timeoutMilliseconds = 1500
        pod.options.graceMilliseconds = 100
        try pod.script("#!/bin/bash\ntrap '' TERM\nsleep 300 &\necho $! >pid\nwait\nwait\n")
        var seen: [SetupRecord.State] = []
        let record = pod.run { seen.append($0.state) }
        #expect(record.state == .timeout)
        #expect(record.exitCode == 137)
        #expect(seen == [.running, .timeout])
        let child = try pod.number("pid")
        for _ in 0..<6000 where !isDead(child) { usleep(10_000) }
        #expect(isDead(child))
    }

    @Test func aScriptThatDoesNothingIsCalledStalledAndLeftAlone() throws {
        var pod = pod
        pod.options.stallMilliseconds = 300
        try pod.script("#!/bin/sh\nsleep 3\n")
        var seen: [SetupRecord.State] = []
        let record = pod.run { seen.append($0.state) }
        #expect(seen.contains(.stalled))
        #expect(record.state == .succeeded)
        #expect(record.reason == nil)
    }

    @Test func theLogKeepsTheNewestOutputWithinItsLimit() throws {
        var pod = pod
        pod.options.logLimit = 10_000
        try pod.script("#!/bin/bash\nhead -c 3000000 /dev/zero | tr '\\0' x; echo; seq 1 5000\n")
        #expect(pod.run().state == .succeeded)
        let sizes = try [pod.runner.logPath + ".1", pod.runner.logPath].map { try FileStatus($0).size }
        #expect(sizes.reduce(0, +) <= 10_000 && sizes[0] == 5000)
        #expect(try pod.runner.logTail(lines: 2) == ["4999", "5000"])
        let kept = try ChildProcess.capture(
            .init(
                executable: "/bin/sh", arguments: ["-c", "tail -n 1 '\(pod.volume)'/.packet/logs/*"], environment: [:]),
            milliseconds: 20_000)
        #expect(String(decoding: kept.output, as: UTF8.self) == "5000\n")
    }

    @Test func anAgentKilledInTheMiddleNeverCallsItSucceeded() throws {
        try pod.script("#!/bin/bash\n[ -e started ] && exit 0\necho $$ >started\nexec sleep 300\n")
        let probe = BootChildSide.probe
        let host = try ChildProcess.spawn(
            .init(
                executable: probe.executable, arguments: probe.arguments + ["host", scratch.path],
                environment: ["HOME": "/root"]))
        try #require(pod.await("started"))
        // The runner writes the script's number just after starting it.
        for _ in 0..<6000 where (pod.runner.current().pid ?? 0) == 0 { usleep(10_000) }
        kill(host.pid, SIGKILL)
        _ = host.wait()
        #expect(pod.runner.current().state == .running)
        #expect(pod.runner.current().reason?.contains("restarted") == true)
        #expect(pod.run().state == .running, "no second one beside it")
        let script = try pod.number("started")
        kill(script, SIGKILL)
        for _ in 0..<6000 where !isDead(script) { usleep(10_000) }
        #expect(pod.runner.current().state == .failed)
        #expect(pod.runner.current().exitCode == nil)
        #expect(pod.run().state == .failed, "nobody knows whether it may run a second time")
        #expect(pod.run().reason?.contains("setup run --force") == true)
        #expect(pod.run(force: true).state == .succeeded)
    }

    @Test func aVolumeThatDoesNotAnswerIsAReasonNotAHang() throws {
        var options = pod.options
        options.volumeMilliseconds = 50
        let hanging = ProbeProgram(executable: "/bin/sh", arguments: ["-c", "sleep 60"])
        let runner = SetupRunner(options: options, start: ContainerStart(key: "x"), probe: hanging)
        let record = runner.run(volume: .init(mountPoint: pod.volume), environment: { _ in [:] })
        #expect(record.state == .refused)
        #expect(record.reason == "the volume did not answer within 50 ms")
    }

    @Test func theContractsKeysAreWrittenAlsoWhenEmpty() throws {
        pod.run()
        let text = try LocalFile.readText(scratch.path + "/run/setup.json")
        for key in [
            "\"state\" : \"absent\"", "\"exit_code\" : null", "\"log\" : null", "\"reason\" : \"there is no setup.sh",
        ] { #expect(text.contains(key), "\(key)") }
    }

    @Test func theRunningContainerHasAStart() throws {
        let key = try ContainerStart.read().key
        #expect(try ContainerStart.read().key == key)
        #expect(key.split(separator: ":", omittingEmptySubsequences: false).count == 3)
    }
}
