import Environment
import Glibc
import LinuxKit
import Settings
import Testing

@Suite struct MarkedBlockTests {
    @Test func switchedOffNothingIsWrittenIntoAnybodysFiles() throws {
        let pod = try ScratchPod()
        var configuration = AgentConfiguration()
        configuration.environment.enabled = false
        configuration.agent.runtimeDirectory = pod.path + "/run"
        let off = EnvironmentApply(configuration, root: pod.path)
        let result = try off.apply(EnvironmentPlan.make(podFacts()))
        #expect(result.changed.allSatisfy { $0.hasPrefix(pod.path + "/run/") }, "\(result.changed)")
    }

    @Test func puttingAndRemovingGivesBackEveryByte() throws {
        var generator = Seeded(state: 7)
        let pieces = ["a\n", "\n", "# >>> packet-agent\n", "x", "é", "\r\n", "<<<"]
        for _ in 0..<500 {
            let old = (0..<Int.random(in: 0..<6, using: &generator)).flatMap { _ in
                Array((pieces.randomElement(using: &generator) ?? "").utf8)
            }
            let first = try #require(MarkedBlock.put(Array("one\n".utf8), into: old))
            let second = try #require(MarkedBlock.put(Array("two\nlines\n".utf8), into: first))
            #expect(MarkedBlock.put(Array("two\nlines\n".utf8), into: second) == second)
            #expect(MarkedBlock.state(in: second) == .untouched(body: Array("two\nlines\n".utf8)))
            #expect(MarkedBlock.remove(from: second) == .some(old))
        }
    }

    @Test func aFileThatWasOursGoesAway() throws {
        let made = try #require(MarkedBlock.put(Array("x\n".utf8), into: nil))
        #expect(MarkedBlock.remove(from: made) == .some(nil))
        #expect(MarkedBlock.remove(from: Array("mine\n".utf8) + made) == .some(Array("mine\n".utf8)))
    }

    @Test func anEditedBlockIsLeftAlone() throws {
        let made = try #require(MarkedBlock.put(Array("x=1\n".utf8), into: nil))
        let edited = Array(String(decoding: made, as: UTF8.self).replacing("x=1", with: "x=2").utf8)
        #expect(MarkedBlock.state(in: edited) == .changed)
        #expect(MarkedBlock.put(Array("y\n".utf8), into: edited) == nil)
        #expect(MarkedBlock.remove(from: edited) == nil)
        #expect(MarkedBlock.put(Array("y\n".utf8), into: made + made) == nil)
        #expect(MarkedBlock.state(in: Array(made.dropLast(5))) == .changed)
    }

    /// Found by fuzzing: appending ended the last line, and so made a second closing mark.
    @Test func aMarkThatLostItsNewlineAtTheEndOfTheFileIsAChangedBlock() throws {
        let made = try #require(MarkedBlock.put(Array("x=1\n".utf8), into: nil))
        let cut = Array(made.dropLast())
        #expect(MarkedBlock.state(in: cut) == .changed)
        #expect(MarkedBlock.put(Array("y\n".utf8), into: cut) == nil)
        #expect(MarkedBlock.remove(from: cut) == nil)
    }
}

@Suite struct MarkedBlockPositionTests {
    @Test func aBlockAtTheTopOrInTheMiddleComesOutAgain() throws {
        let old = Array("[a]\nx = 1\n[b]".utf8)
        for offset in [0, 4, 10, old.count] {
            let made = try #require(MarkedBlock.put(Array("y\n".utf8), into: old, at: .offset(offset)))
            #expect(made.starts(with: old[..<offset]))
            #expect(MarkedBlock.remove(from: made) == .some(old))
            let moved = try #require(MarkedBlock.put(Array("z\n".utf8), into: made, at: .offset(4)))
            #expect(MarkedBlock.remove(from: moved) == .some(old))
            #expect(moved == MarkedBlock.put(Array("z\n".utf8), into: old, at: .offset(4)))
        }
        let top = try #require(MarkedBlock.put(Array("y\n".utf8), into: old, at: .first))
        #expect(Array(top.suffix(old.count)) == old)
        #expect(MarkedBlock.put(Array("y\n".utf8), into: top, at: .last) == top, "a block stays where it is")
    }
}

@Suite struct ApplyTests {
    let pod: ScratchPod
    var apply: EnvironmentApply { pod.apply }
    let plan = EnvironmentPlan.make(podFacts())

    init() throws { pod = try ScratchPod() }

    @Test func theSecondRunChangesNothingAndRevertGivesEverythingBack() throws {
        let before = try pod.tree()
        let first = try apply.apply(plan)
        #expect(first.problems.isEmpty)
        #expect(first.changed.count > 12, "\(first.changed)")
        #expect(try FileStatus(apply.environmentFile).permissions == 0o644)
        let after = try pod.tree()
        #expect(after != before)
        #expect(try apply.apply(plan).changed.isEmpty)
        expectSame(try pod.tree(), after)
        #expect(try apply.revert().left.isEmpty)
        expectSame(try pod.tree(), before)
        #expect(access(apply.environmentFile, F_OK) != 0)
        #expect(try apply.revert().changed.isEmpty)
    }

    @Test func aDryRunShowsOldAndNewAndWritesNothing() throws {
        let before = try pod.tree()
        let (changes, _) = apply.changes(for: plan)
        #expect(changes.contains { $0.path == apply.environmentFile && $0.old == nil })
        #expect(changes.contains { $0.path == pod.path + "/etc/bash.bashrc" && $0.old != nil })
        #expect(changes.allSatisfy { $0.new != nil })
        expectSame(try pod.tree(), before)
        #expect(try apply.apply(plan).changed == changes.map(\.path), "the dry run says what is done")
    }

    @Test func theUsersLinesInTheProfileStay() throws {
        try AtomicFile.write("export MINE=1".utf8, to: apply.profileFile, mode: 0o600)
        try apply.apply(plan)
        #expect(try FileStatus(apply.profileFile).permissions == 0o600)
        #expect(try LocalFile.readText(apply.profileFile).hasPrefix("export MINE=1\n"))
        try apply.revert()
        #expect(try LocalFile.readText(apply.profileFile) == "export MINE=1")
    }

    @Test func anEditedProfileIsReportedAndLeft() throws {
        try apply.apply(plan)
        let edited = try LocalFile.readText(apply.profileFile).replacing("if [ -r", with: "if  [ -r")
        try AtomicFile.write(edited.utf8, to: apply.profileFile)
        #expect(try apply.apply(plan).problems.count == 1)
        #expect(try apply.revert().problems.count == 1)
        #expect(try LocalFile.readText(apply.profileFile) == edited)
    }

    @Test func aLayerWhoseProgramIsNotThereIsAbsentAndTheRestIsWritten() throws {
        rmdir(pod.path + "/etc/profile.d")
        let result = try apply.apply(plan)
        #expect(result.problems.isEmpty)
        #expect(!result.changed.contains(apply.profileFile))
        #expect(apply.states(for: plan).first { $0.id == "profile.d" }?.state == .absent)
        #expect(apply.states(for: plan).first { $0.id == "bash.bashrc" }?.state == .in)
    }

    @Test func aLayerThatIsSwitchedOffIsTakenOut() throws {
        let before = try LocalFile.read(pod.path + "/etc/environment")
        try apply.apply(plan)
        #expect(try LocalFile.read(pod.path + "/etc/environment") != before)
        let without = pod.apply(disabled: ["environment"])
        try without.apply(plan)
        #expect(try LocalFile.read(pod.path + "/etc/environment") == before)
        #expect(without.states(for: plan).first { $0.id == "environment" }?.state == .off)
        #expect(EnvironmentLayer.all.map(\.id) == ["runtime"] + AgentConfiguration.Environment.layers)
    }

    @Test func aLoginShellSeesTheVolumeWhileItIsReady() throws {
        let command = ["-c", ". \(apply.profileFile); exec env -0"]
        try apply.apply(plan, ready: true)
        #expect(entries(try output("/bin/sh", command))["HF_HOME"] == "/mnt/v/huggingface")
        try apply.setReady(false)
        try apply.setReady(false)
        #expect(entries(try output("/bin/sh", command))["HF_HOME"] == nil)
    }

    @Test func layersThatNameTheVolumeGoWithItAndComeBack() throws {
        let pure = try pod.tree()
        try apply.apply(plan)
        let ready = try pod.tree()
        // It is gone: the plan has no volume. It is stuck: the caller says so.
        for (plan, isReady) in [(EnvironmentPlan.make(podFacts(volume: nil)), true), (self.plan, false)] {
            try apply.apply(plan, ready: isReady)
            let gone = try pod.tree()
            for name in [
                "environment", "pip.conf", "ssh/sshd_config.d/00-packet-agent.conf", "conda/condarc.d/packet-agent.yml",
            ] {
                #expect(gone["/etc/" + name] == pure["/etc/" + name], "\(name)")
            }
            #expect(gone["/root/.cache/huggingface/hub"] == nil)
            #expect(gone["/etc/bash.bashrc"] == ready["/etc/bash.bashrc"], "a program stays and tests the flag")
            #expect(access(apply.readyFlag, F_OK) != 0)
            try apply.apply(self.plan)
            #expect(access(apply.readyFlag, F_OK) == 0)
        }
        for (path, entry) in try pod.tree() { #expect(entry.contents == ready[path]?.contents, "\(path)") }
        try apply.revert()
        expectSame(try pod.tree(), pure)
    }

    @Test func secretsAreInNoFileThatKnowsNoUser() throws {
        try apply.apply(plan)
        for (path, entry) in try pod.tree() {
            guard case .file(let bytes) = entry.contents, path != "/etc/fish/conf.d/packet-agent.fish" else { continue }
            #expect(!String(decoding: bytes, as: UTF8.self).contains("HF_TOKEN_PATH"), "\(path)")
        }
    }
}

@Suite struct ExecTests {
    @Test func theUsersValueWinsAndTheContainersEphemeralOneDoesNot() {
        let plan = EnvironmentPlan.make(facts(["HF_HOME": "/root/hf"]))
        #expect(ExecEnvironment.merge(plan, into: ["HF_HOME": "/root/hf"])["HF_HOME"] == "/mnt/v/huggingface")
        #expect(ExecEnvironment.merge(plan, into: ["HF_HOME": ""])["HF_HOME"] == "/mnt/v/huggingface")
        #expect(ExecEnvironment.merge(plan, into: ["HF_HOME": "/home/me"])["HF_HOME"] == "/home/me")
    }

    @Test func rawEntriesKeepTheirBytesAndOrder() {
        var facts = facts()
        facts.pythonPath = .always
        let plan = EnvironmentPlan.make(facts)
        let odd: [UInt8] = Array("ODD=".utf8) + [0xff, 0x0a]
        let merged = ExecEnvironment.merge(
            plan, intoEntries: [odd, Array("PYTHONPATH=".utf8) + [0xfe], Array("HF_HOME=/x".utf8)])
        #expect(merged[0] == odd)
        #expect(merged[1] == Array("PYTHONPATH=/mnt/v/pip-packages:".utf8) + [0xfe])
        #expect(merged[2] == Array("HF_HOME=/x".utf8))
        #expect(merged.contains(Array("PIP_CACHE_DIR=/mnt/v/.packet/cache/pip".utf8)))
    }
}

@Suite struct VolumeDirectoryTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func make(_ directories: [VolumeDirectory], mountID: UInt64? = nil) -> [VolumeDirectories.Outcome] {
        VolumeDirectories.make(
            directories, at: scratch.path, mountID: mountID, probe: ChildSide.probe, milliseconds: 60_000)
    }

    @Test func directoriesGetTheVolumesOwnerAndTheSecondRunChangesNothing() throws {
        chmod(scratch.path, 0o2775)
        if getuid() == 0 { chown(scratch.path, 1234, 1235) }
        let wanted: [VolumeDirectory] = [
            .shared("models/torch"), .shared(".packet/cache/pip"),
            .private(".packet/secrets/77", uid: getuid() == 0 ? 77 : getuid()),
        ]
        #expect(make(wanted) == [.made, .made, .made])
        #expect(make(wanted) == [.existed, .existed, .existed])
        let root = try FileStatus(scratch.path)
        let shared = try FileStatus(scratch.path + "/models/torch")
        #expect((shared.uid, shared.gid) == (root.uid, root.gid))
        #expect(shared.permissions == 0o2775)
        #expect(try FileStatus(scratch.path + "/.packet").permissions == 0o755)
        #expect(try FileStatus(scratch.path + "/.packet/secrets/77").permissions == 0o700)
        if getuid() == 0 { #expect(try FileStatus(scratch.path + "/.packet/secrets/77").uid == 77) }
    }

    @Test func linksAreNotFollowedAndNothingIsMadeOutside() throws {
        let outside = try Scratch()
        symlink(outside.path, scratch.path + "/models")
        guard case .failed = make([.shared("models/torch")])[0] else {
            Issue.record("followed a link")
            return
        }
        guard case .failed = make([.shared("../escape")])[0] else {
            Issue.record("left the volume")
            return
        }
        #expect(access(outside.path + "/torch", F_OK) != 0)
    }

    @Test func aPrivateDirectoryOfSomebodyElseIsRefused() throws {
        try AtomicFile.createDirectory(scratch.path + "/secrets", mode: 0o755)
        guard case .failed = make([.private("secrets", uid: getuid())])[0] else {
            Issue.record("accepted 0755")
            return
        }
    }

    @Test func nothingIsMadeBelowAMountPointWithoutItsVolume() throws {
        guard case .failed = make([.shared("models")], mountID: 999_999_999)[0] else {
            Issue.record("made it")
            return
        }
        #expect(access(scratch.path + "/models", F_OK) != 0)
    }

    @Test func aProbeThatHangsIsLeftBehind() {
        let probe = ProbeProgram(executable: "/bin/sh", arguments: ["-c", "sleep 60"])
        let outcomes = VolumeDirectories.make([.shared("a"), .shared("b")], at: "/x", probe: probe, milliseconds: 50)
        #expect(outcomes == Array(repeating: .failed("the volume did not answer within 50 ms"), count: 2))
    }
}
