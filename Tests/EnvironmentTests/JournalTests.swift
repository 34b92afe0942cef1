import CLinux
import Environment
import Glibc
import LinuxKit
import Testing

@Suite struct JournalTests {
    let pod: ScratchPod
    let plan = EnvironmentPlan.make(podFacts())

    init() throws { pod = try ScratchPod() }

    private func edit(_ name: String, _ body: (String) -> String) throws {
        let file = "\(pod.path)/\(name)"
        let new = Array(body(try LocalFile.readText(file)).utf8)
        // As an editor that writes in place.
        let descriptor = try Descriptor(opening: file, O_WRONLY | O_TRUNC)
        try descriptor.writeAll(new)
    }

    @Test func ownerModeAttributesAndTimesComeBack() throws {
        let file = pod.path + "/etc/bash.bashrc"
        setxattr(file, "user.note", "mine", 4, 0)
        // An access control list: user::rw-, user:1234:r--, group::r--, mask::r--, other::---
        let acl: [UInt8] = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 210, 4, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
            16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
        ]
        let hasLists = setxattr(file, "system.posix_acl_access", acl, acl.count, 0) == 0
        if getuid() == 0 { chown(file, 1234, 1235) }
        let descriptor = try Descriptor(opening: file, O_RDONLY)
        let old = FileStatus.Time(seconds: 1_400_000_000, nanoseconds: 987_654_321)
        try AtomicFile.set(.init(accessed: old, modified: old), descriptor: descriptor.number)
        let before = try pod.tree()
        #expect(before["/etc/bash.bashrc"]?.attributes.count == (hasLists ? 2 : 1))
        try pod.apply.apply(plan)
        let during = try #require(try pod.tree()["/etc/bash.bashrc"])
        #expect(during.attributes == before["/etc/bash.bashrc"]?.attributes)
        #expect(during.mode == before["/etc/bash.bashrc"]?.mode && during.uid == before["/etc/bash.bashrc"]?.uid)
        try pod.apply.revert()
        expectSame(try pod.tree(), before)
    }

    @Test func whatTheUserWroteAroundTheBlockStays() throws {
        try pod.apply.apply(plan)
        try edit("etc/bash.bashrc") { "# above\n" + $0 + "# below" }
        try edit("etc/environment") { $0 + "MORE=1\n" }
        chmod(pod.path + "/etc/environment", 0o604)
        try pod.apply.revert()
        #expect(
            try LocalFile.readText(pod.path + "/etc/bash.bashrc")
                == "# above\n[ -z \"$PS1\" ] && return\nPS1='$ '\n# below")
        #expect(try LocalFile.readText(pod.path + "/etc/environment") == "LANG=C.UTF-8\nKERAS_HOME=/mine\nMORE=1\n")
        #expect(try FileStatus(pod.path + "/etc/environment").permissions == 0o604)
    }

    @Test func aFileOfOursThatTheUserWroteIntoStaysWithTheUsersPart() throws {
        try pod.apply.apply(plan)
        try edit("etc/fish/conf.d/packet-agent.fish") { $0 + "set mine 1\n" }
        try edit("etc/systemd/system-environment-generators/60-packet-agent") { $0 + "echo MINE=1\n" }
        #expect(try pod.apply.apply(plan).left.contains { $0.subject.hasSuffix("60-packet-agent") })
        let result = try pod.apply.revert()
        #expect(try LocalFile.readText(pod.path + "/etc/fish/conf.d/packet-agent.fish") == "set mine 1\n")
        #expect(
            try LocalFile.readText(pod.path + "/etc/systemd/system-environment-generators/60-packet-agent")
                .hasSuffix("echo MINE=1\n"))
        #expect(!result.changed.contains { $0.hasSuffix("60-packet-agent") })
    }

    @Test func aLinkInsideItsTreeIsFollowedAndOneOutOfItIsLeft() throws {
        let file = pod.path + "/etc/bash.bashrc"
        rename(file, pod.path + "/etc/bash.real")
        symlink("bash.real", file)
        let outside = try Scratch()
        try AtomicFile.write("mine\n".utf8, to: outside.path + "/zshenv")
        unlink(pod.path + "/etc/zsh/zshenv")
        symlink(outside.path + "/zshenv", pod.path + "/etc/zsh/zshenv")
        let before = try pod.tree()
        let result = try pod.apply.apply(plan)
        #expect(result.changed.contains(pod.path + "/etc/bash.real"))
        #expect(try LocalFile.linkTarget(file) == Array("bash.real".utf8))
        #expect(
            result.left.contains(LeftAlone(pod.path + "/etc/zsh/zshenv", "it is a symbolic link to somewhere else")))
        #expect(try LocalFile.readText(outside.path + "/zshenv") == "mine\n")
        try pod.apply.revert()
        expectSame(try pod.tree(), before)
    }

    @Test func aFileWithTwoNamesIsLeft() throws {
        link(pod.path + "/etc/environment", pod.path + "/etc/twin")
        let result = try pod.apply.apply(plan)
        #expect(result.left.contains { $0.subject == pod.path + "/etc/environment" && $0.reason.contains("2 names") })
        #expect(try FileStatus(pod.path + "/etc/environment").links == 2)
    }

    @Test func anEmptyDirectoryBecomesALinkAndComesBackAndAFullOneStays() throws {
        let empty = pod.path + "/root/.cache/torch"
        try AtomicFile.createDirectory(pod.path + "/home/ann/nltk_data", mode: 0o700)
        try AtomicFile.write("x".utf8, to: pod.path + "/home/ann/nltk_data/corpus")
        try AtomicFile.createDirectory(pod.path + "/root/nltk_data", mode: 0o750)
        if getuid() == 0 { chown(pod.path + "/root/nltk_data", 77, 78) }
        let before = try pod.tree()
        let result = try pod.apply.apply(plan)
        #expect(try LocalFile.linkTarget(pod.path + "/root/nltk_data") == Array("/mnt/v/data/nltk".utf8))
        #expect(try FileStatus(empty).kind == .directory, "it is no leaf of the catalog or holds something")
        #expect(result.left.contains { $0.subject == pod.path + "/home/ann/nltk_data" && $0.reason.contains("move") })
        if getuid() == 0 {
            #expect(try FileStatus(pod.path + "/home/ann/.cache/huggingface/hub").uid == 1000)
            #expect(try FileStatus(pod.path + "/home/ann/.cache").uid == 1000)
        }
        try pod.apply.revert()
        expectSame(try pod.tree(), before)
    }

    @Test func theJournalIsForRootOnlyAndGoneAfterTheRevert() throws {
        try pod.apply.apply(plan)
        let journal = pod.path + "/var/lib/packet-agent/changes"
        #expect(try FileStatus(journal).permissions == 0o700)
        let listed = String(decoding: try output("/bin/ls", ["-A", journal]), as: UTF8.self).split(separator: "\n")
        #expect(listed.count > 8)
        for name in listed { #expect(try FileStatus("\(journal)/\(name)").permissions == 0o600) }
        try pod.apply.revert()
        #expect(String(decoding: try output("/bin/ls", ["-A", journal]), as: UTF8.self) == "lock\n")
    }

    @Test func blocksWhoseJournalWasLostAreTakenOutToo() throws {
        let before = try pod.tree()
        try pod.apply.apply(plan)
        try output("/bin/rm", ["-rf", pod.path + "/var/lib/packet-agent"])
        try pod.apply.revert()
        let after = try pod.tree()
        for name in ["environment", "bash.bashrc", "pip.conf", "zsh/zshenv"] {
            #expect(after["/etc/" + name]?.contents == before["/etc/" + name]?.contents, "\(name)")
        }
    }

    @Test func withoutAJournalNothingIsChanged() throws {
        try AtomicFile.createDirectory(pod.path + "/var/lib")
        try AtomicFile.write("".utf8, to: pod.path + "/var/lib/packet-agent")
        let before = try pod.tree()
        #expect(throws: LinuxError.self) { try pod.apply.apply(plan) }
        expectSame(try pod.tree(), before)
    }

    @Test func ownFilesAreKnownAsSuch() throws {
        try pod.apply.apply(plan)
        try edit("etc/environment") { $0 + "MORE=1\n" }
        let own = pod.apply.ownPaths()
        #expect(own.contains(pod.path + "/etc/bash.bashrc") && own.contains(pod.apply.profileFile))
        #expect(!own.contains(pod.path + "/etc/environment"))
    }
}

@Suite struct UpgradeTests {
    /// Applies, edits, applies of another version's plan, volumes that come and go, and reverts, in any order.
    @Test(arguments: 0..<24) func noSequenceLosesAByteOfTheUser(seed: UInt64) throws {
        var generator = Seeded(state: seed)
        let pod = try ScratchPod()
        let names = ["bash.bashrc", "environment", "pip.conf", "zsh/zshenv", "ssh/sshd_config"]
        var mine: [String: [UInt8]] = [:]
        for name in names { mine[name] = try LocalFile.read("\(pod.path)/etc/\(name)") }
        var number = 0
        for _ in 0..<14 {
            switch Int.random(in: 0..<5, using: &generator) {
            case 0, 1:
                let volume = EnvironmentPlan.Volume(name: "w", mountPoint: ["/mnt/w", "/mnt/w x"][number % 2])
                var facts = podFacts(
                    ["TORCH_HOME": "/old"],
                    volume: Bool.random(using: &generator) ? volume : .init(name: "v", mountPoint: "/mnt/v"))
                facts.pythonPath = Bool.random(using: &generator) ? .always : .auto
                try pod.apply(disabled: Bool.random(using: &generator) ? ["zshenv", "sshd"] : []).apply(
                    EnvironmentPlan.make(facts), ready: Bool.random(using: &generator))
            case 2: try pod.apply.revert()
            default:
                // A line above or below everything, as an editor leaves it.
                let name = try #require(names.randomElement(using: &generator))
                let isAbove = Bool.random(using: &generator)
                number += 1
                let line = Array("# user \(number)\(Bool.random(using: &generator) ? "" : " é\r")\n".utf8)
                func edited(_ bytes: [UInt8]) -> [UInt8] {
                    if isAbove { return line + bytes }
                    return bytes + (bytes.last == UInt8(ascii: "\n") || bytes.isEmpty ? [] : [UInt8(ascii: "\n")])
                        + line
                }
                let file = "\(pod.path)/etc/\(name)"
                try AtomicFile.write(edited(try LocalFile.read(file)), to: file)
                mine[name] = edited(try #require(mine[name]))
            }
        }
        #expect(try pod.apply.revert().problems.isEmpty)
        for (name, contents) in mine {
            let found = try LocalFile.read("\(pod.path)/etc/\(name)")
            #expect(found == contents, "\(name)")
        }
    }
}
