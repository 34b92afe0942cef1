import Environment
import Glibc
import LinuxKit
import Testing

@testable import Boot

private let passwd = """
    root:x:0:0:root:/root:/bin/bash
    ann:x:1000:1000::/home/ann:/bin/zsh
    bob:x:1001:100::/home/bob:
    eve:x:1002:100::relative:/bin/sh
    """
private let group = """
    root:x:0:
    ann:x:1000:
    users:x:100:
    docker:x:999:ann,bob
    shared:x:1003:eve
    """

@Suite struct SetupOwnerTests {
    let accounts = Accounts(passwd: passwd, group: group)

    @Test func aGroupIsOnesOwnWhenNobodyElseIsInIt() {
        #expect(accounts.isOwn(group: 1000, of: 1000))
        #expect(accounts.isOwn(group: 0, of: 0))
        #expect(!accounts.isOwn(group: 100, of: 1001), "eve is in it too")
        #expect(!accounts.isOwn(group: 999, of: 1000), "a supplementary group")
        #expect(accounts.isOwn(group: 4000, of: 4000), "no entry: the group of the same number")
        #expect(!accounts.isOwn(group: 0, of: 4000))
        #expect(!accounts.isOwn(group: 1003, of: 1003), "eve is a member")
    }

    @Test func aUserHasGroupsHomeAndShellOrTheNumberAlone() {
        let ann = accounts.user(1000)
        #expect(ann.groups == [1000, 999] && ann.home == "/home/ann" && ann.shell == "/bin/zsh")
        #expect(accounts.user(1001).shell == "/bin/sh")
        #expect(accounts.user(1002).home == "/")
        #expect(
            accounts.user(4000)
                == SetupUser(uid: 4000, gid: 4000, groups: [4000], name: "4000", home: "/", shell: "/bin/sh"))
        #expect(accounts.user(named: "bob")?.uid == 1001)
        #expect(accounts.user(named: "4000")?.uid == 4000)
        #expect(accounts.user(named: "nobody-of-this-name") == nil)
        #expect(Accounts(passwd: "", group: "").user(named: "root")?.uid == 0)
    }

    @Test func aScriptsEnvironmentIsItsUsers() {
        let base = { (user: EnvironmentPlan.User) in
            ["HOME": "/root", "SHELL": "/bin/bash", "WHO": "\(user.uid) \(user.home)"]
        }
        let ann = SetupRun.environment(for: accounts.user(1000), base)
        #expect(
            ann["HOME"] == "/home/ann" && ann["SHELL"] == "/bin/zsh" && ann["USER"] == "ann" && ann["LOGNAME"] == "ann")
        #expect(ann["WHO"] == "1000 /home/ann")
        let root = SetupRun.environment(for: accounts.user(0), base)
        #expect(root["HOME"] == "/root" && root["SHELL"] == "/bin/bash")
        #expect(SetupRun.environment(for: accounts.user(0)) { _ in [:] }["PATH"] == PodFacts.defaultPath)
    }
}

/// What needs root: files of other users, and becoming them.
@Suite(.timeLimit(.minutes(5)), .enabled(if: getuid() == 0)) struct SetupUserTests {
    let scratch: Scratch
    let pod: SetupPod

    init() throws {
        scratch = try Scratch()
        pod = SetupPod(path: scratch.path)
    }

    private func script(_ text: String, owner: UInt32, group: UInt32? = nil, mode: UInt32 = 0o755) throws {
        try pod.script(text, mode: mode)
        chown(pod.volume + "/setup.sh", owner, group ?? owner)
    }

    @Test func aScriptRunsAsItsOwner() throws {
        chown(pod.volume, 4321, 4321)
        try script(
            "#!/bin/sh\nid -u; id -g; id -G; echo $USER $HOME\ncat \"$0\" >copy; umask\n", owner: 4321, mode: 0o500)
        let record = pod.run(environment: ["HOME": "/root", "USER": "root"])
        #expect(record.state == .succeeded, "\(record) \(pod.log)")
        #expect(pod.log == "4321\n4321\n4321\n4321 /\n0022\n")
        #expect(record.scripts?.first?.user == "4321")
        let copy = try #require(record.scripts?.first?.sha256.map { "\(scratch.path)/run/setup/\($0).4321.sh" })
        let status = try FileStatus(copy)
        #expect(status.uid == 4321 && status.permissions == 0o500)
        #expect(try FileStatus(pod.runner.logPath).uid == 4321)
        #expect(try FileStatus(pod.runner.logPath).permissions == 0o600)
    }

    @Test func asRootOnlyWhenRootOwnsItOrConfigurationSaysSo() throws {
        chown(pod.volume, 4321, 4321)
        try script("#!/bin/sh\nid -u\n", owner: 0)
        pod.run()
        #expect(pod.log == "0\n")
        try script("#!/bin/sh\nid -u # configured\n", owner: 4321)
        var other = pod
        other.options.user = "root"
        other.run()
        #expect(pod.log == "0\n")
        other.options.user = "nobody-of-this-name"
        #expect(other.run(force: true).reason?.contains("setup.user") == true)
    }

    @Test func groupWritableIsFineForTheOwnersOwnGroupOnly() throws {
        try script("#!/bin/sh\n", owner: 0, group: 4321, mode: 0o775)
        #expect(pod.run().reason?.contains("chmod g-w") == true)
        chown(pod.volume, 4321, 4321)
        try script("#!/bin/sh\n", owner: 4321, group: 4321, mode: 0o775)
        #expect(pod.run().state == .succeeded)
    }

    @Test func nobodysScriptSaysHowItCameToThat() throws {
        try script("#!/bin/sh\n", owner: 65534)
        let reason = pod.run().reason ?? ""
        #expect(reason.contains("root_squash") && reason.contains("setup.allowed_owners"), "\(reason)")
    }

    @Test func theScriptHasItsOwnScoreNicenessSignalsAndDescriptors() throws {
        // What a probe of ours ignores or has open must not reach the script.
        try script(
            """
            #!/bin/bash
            cat /proc/$$/oom_score_adj; nice; ls /proc/$$/fd | grep -vc '^255$'
            grep SigIgn /proc/$$/status; ps -o sid= -p $$ | tr -d ' '; echo $$
            """, owner: 0)
        let before = Int(try LocalFile.readText("/proc/self/oom_score_adj").filter { !$0.isWhitespace }) ?? 0
        pod.run()
        let lines = pod.log.split(separator: "\n").map(String.init)
        try #require(lines.count == 6, "\(pod.log)")
        #expect(lines[0] == "\(min(1000, before + SetupLaunch.outOfMemoryScore))")
        #expect(lines[1] == "\(min(19, getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) + SetupLaunch.nice))")
        // Standard input, output and error, and the script itself.
        #expect(lines[2] == "3" || lines[2] == "4", "\(lines)")
        // SIGPIPE is 13, which probes ignore; bash ignores some of its own.
        let ignored = lines[3].split(whereSeparator: \.isWhitespace).last.flatMap { UInt64($0, radix: 16) }
        #expect(ignored.map { $0 & 1 << 12 } == 0, "\(lines[3])")
        #expect(lines[4] == lines[5], "a session of its own")
    }

    @Test func whatTheServerShowsToTheOwnerOnlyIsReadAsTheOwner() throws {
        // A volume whose root is private to its user, seen by a root that is nobody there: here a root without the
        // capabilities to overrule permissions.
        chown(pod.volume, 4321, 4321)
        try script("#!/bin/sh\npwd\n", owner: 4321, mode: 0o700)
        chmod(pod.volume, 0o700)
        let request = SetupRequest(
            mountPoint: pod.volume, script: "setup.sh", directory: "setup.d", copies: scratch.path + "/copies",
            owners: [], isStrict: false, user: "owner")
        let probe = BootChildSide.probe
        let squashed = ProbeProgram(
            executable: "/usr/bin/setpriv",
            arguments: ["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--", probe.executable]
                + probe.arguments)
        let scripts = try request.fetch(squashed, milliseconds: 60_000)
        #expect(scripts.first?.finding == .ready, "\(scripts)")
        #expect(try FileStatus(scripts.first?.path ?? "").uid == 4321)
    }
}
