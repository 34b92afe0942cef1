@testable import Environment
import Glibc
import LinuxKit
import Testing

@Suite struct SSHServerLayerTests {
    let pod: ScratchPod
    let plan = EnvironmentPlan.make(podFacts())

    init() throws { pod = try ScratchPod() }

    private var dropIn: String { pod.path + "/etc/ssh/sshd_config.d/00-packet-agent.conf" }
    private func configuration(_ text: String) throws {
        try AtomicFile.write(text.utf8, to: pod.path + "/etc/ssh/sshd_config")
    }
    private func setEnv(_ file: String) -> String? {
        (try? LocalFile.readText(file))?.split(separator: "\n").first { $0.hasPrefix("SetEnv") }.map(String.init)
    }

    @Test func theValuesOfTheDirectiveThatCountedAreKeptAndWin() throws {
        try pod.apply.apply(plan)
        let line = try #require(setEnv(dropIn))
        #expect(line.hasPrefix("SetEnv \"A=x y\" \"TORCH_HOME=/t\" \"HF_HOME=/mnt/v/huggingface\""))
        #expect(!line.contains("TORCH_HOME=/mnt"))
    }

    @Test func aDirectiveOfAnEarlierDropInIsMergedAtTheTopOfTheFile() throws {
        try AtomicFile.write("SetEnv B=1\n".utf8, to: pod.path + "/etc/ssh/sshd_config.d/00-a.conf")
        try pod.apply.apply(plan)
        #expect(setEnv(dropIn) == nil)
        let top = try LocalFile.readText(pod.path + "/etc/ssh/sshd_config")
        #expect(top.hasPrefix("# >>> packet-agent >>>"))
        #expect(setEnv(pod.path + "/etc/ssh/sshd_config")?.hasPrefix("SetEnv \"B=1\" \"HF_HOME=") == true)
        #expect(try pod.apply.apply(plan).changed.isEmpty)
    }

    @Test func withoutAnIncludeTheLineGoesToTheTopOfTheFile() throws {
        try configuration("# none\nMatch User x\nSetEnv C=1\n")
        try pod.apply.apply(plan)
        #expect(setEnv(dropIn) == nil)
        #expect(setEnv(pod.path + "/etc/ssh/sshd_config")?.hasPrefix("SetEnv \"HF_HOME=") == true)
        try pod.apply.revert()
        #expect(try LocalFile.readText(pod.path + "/etc/ssh/sshd_config") == "# none\nMatch User x\nSetEnv C=1\n")
    }

    @Test func theDropInMovesWhenTheUserWritesADirectiveBeforeIt() throws {
        try pod.apply.apply(plan)
        #expect(setEnv(dropIn) != nil)
        let text = try LocalFile.readText(pod.path + "/etc/ssh/sshd_config")
        try configuration("SetEnv D=1\n" + text)
        try pod.apply.apply(plan)
        #expect(setEnv(dropIn) == nil)
        #expect(setEnv(pod.path + "/etc/ssh/sshd_config")?.hasPrefix("SetEnv \"D=1\"") == true)
    }

    @Test func anSSHServerThatRefusesTheLineGetsItsFileBackAndIsNotReloaded() throws {
        let before = try pod.tree()
        let dropIn = dropIn
        let programs = LayerPrograms(
            sshProblem: { access(dropIn, F_OK) == 0 ? "bad" : nil }, reloadSSH: { Issue.record("reloaded") },
            setManager: { _ in [] })
        let apply = EnvironmentApply(runtimeDirectory: pod.path + "/run", root: pod.path, programs: programs)
        let result = try apply.apply(plan)
        #expect(result.problems.contains { $0.contains("refuses our line") && $0.contains("bad") })
        #expect(try pod.tree()["/etc/ssh/sshd_config.d/00-packet-agent.conf"] == nil)
        #expect(try pod.tree()["/etc/ssh/sshd_config"] == before["/etc/ssh/sshd_config"])
    }

    @Test func aRealSSHServerJudgesTheConfiguration() throws {
        try requirePrograms("/usr/sbin/sshd")
        let scratch = try Scratch()
        let file = scratch.path + "/sshd_config"
        for (text, isFine) in [("SetEnv \"A=b c\"\n", true), ("SetEnv A\n", false), ("Nonsense yes\n", false)] {
            try AtomicFile.write(("HostKey /nonexistent\n" + text).utf8, to: file)
            #expect((SSHServerProcess.problem(arguments: ["-f", file]) == nil) == isFine, "\(text)")
        }
    }

    @Test func wordsAreCutAsTheServerCutsThem() {
        func words(_ text: String) -> [String] {
            SSHServerConfiguration.words(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(words("SetEnv A=1 \"B=x y\" 'C=#' # no") == ["SetEnv", "A=1", "B=x y", "C=#"])
        #expect(words("setenv=A=1") == ["setenv", "A=1"])
        #expect(words("\tSetEnv A=\\\"b\\\\ C=d\\ e") == ["SetEnv", "A=\"b\\", "C=d e"])
        #expect(words("# all").isEmpty && words("").isEmpty)
    }
}

@Suite struct SystemdManagerTests {
    /// A systemctl that keeps its environment in a file.
    private func manager(_ scratch: Scratch) throws -> SystemdManagerEnvironment {
        let program = """
            #!/bin/sh
            cd '\(scratch.path)'
            touch state
            command=$1; shift
            case $command in
            show-environment) cat state ;;
            set-environment) for pair; do grep -v "^${pair%%=*}=" state >new; echo "$pair" >>new; mv new state; done ;;
            unset-environment) for pair; do grep -vxF "$pair" state >new; mv new state; done ;;
            esac
            exit 0
            """
        try AtomicFile.write(program.utf8, to: scratch.path + "/systemctl", mode: 0o755)
        return SystemdManagerEnvironment(
            file: scratch.path + "/ours", program: scratch.path + "/systemctl", manager: scratch.path)
    }

    @Test func onlyWhatWeSetIsTakenOut() throws {
        let scratch = try Scratch()
        let manager = try manager(scratch)
        try AtomicFile.write("TORCH_HOME=/mine\n".utf8, to: scratch.path + "/state")
        let variables = EnvironmentPlan.make(facts()).variables
        let left = manager.set(variables)
        #expect(left.map(\.subject) == ["TORCH_HOME in systemd's manager"])
        #expect(try LocalFile.readText(scratch.path + "/state").contains("HF_HOME=/mnt/v/huggingface\n"))
        // Somebody changes one of ours: it is theirs now.
        let text = try LocalFile.readText(scratch.path + "/state").replacing(
            "KERAS_HOME=/mnt/v/models/keras", with: "KERAS_HOME=/k")
        try AtomicFile.write(text.utf8, to: scratch.path + "/state")
        _ = manager.set([])
        #expect(try LocalFile.readText(scratch.path + "/state") == "TORCH_HOME=/mine\nKERAS_HOME=/k\n")
    }
}

@Suite struct FileLayerTests {
    @Test func environmentLinesOfTheUserWinAndTheirNamesAreUnderstood() throws {
        #expect(PAMSyntax.name("  export A_1=b") == "A_1")
        #expect(PAMSyntax.name("# A=b") == nil && PAMSyntax.name("") == nil)
        let pod = try ScratchPod()
        try pod.apply.apply(EnvironmentPlan.make(podFacts()))
        let text = try LocalFile.readText(pod.path + "/etc/environment")
        #expect(text.hasPrefix("LANG=C.UTF-8\nKERAS_HOME=/mine\n# >>>"))
        #expect(text.contains("HF_HOME=/mnt/v/huggingface\n") && !text.contains("KERAS_HOME=/mnt"))
    }

    @Test func whatAFileCannotSayIsLeftOutAndSaid() throws {
        let pod = try ScratchPod()
        let plan = EnvironmentPlan.make(podFacts(volume: .init(name: "x", mountPoint: "/mnt/a#b")))
        let result = try pod.apply.apply(plan)
        #expect(result.left.contains { $0.subject == "HF_HOME in /etc/environment" })
        #expect(result.problems.isEmpty)
        #expect(!(try LocalFile.readText(pod.path + "/etc/environment").contains("HF_HOME")))
    }

    @Test func aPipCacheOfTheSiteStays() throws {
        for text in ["[global]\ncache_dir=/mine\n", "[global]\n--cache-dir : /mine\n"] {
            let pod = try ScratchPod()
            try AtomicFile.write(text.utf8, to: pod.path + "/etc/pip.conf")
            let result = try pod.apply.apply(EnvironmentPlan.make(podFacts()))
            #expect(try LocalFile.readText(pod.path + "/etc/pip.conf") == text)
            #expect(result.left.contains { $0.subject == "cache-dir in /etc/pip.conf" })
        }
        let other = ConfigurationText(Array("[install]\ncache-dir = x\n[global]\n cache-dir = y\n".utf8))
        #expect(!other.hasKey("cache-dir", in: "global"), "an indented line goes on with the one above")
    }

    @Test func condaFindsTheVolumesEnvironmentsAndMakesNewOnesWhereItDid() throws {
        let pod = try ScratchPod()
        try pod.apply.apply(EnvironmentPlan.make(podFacts(volume: .init(name: "x", mountPoint: "/mnt/it's"))))
        let text = try LocalFile.readText(pod.path + "/etc/conda/condarc.d/packet-agent.yml")
        #expect(text.contains("envs_dirs:\n  - '/opt/conda/envs'\n  - '/mnt/it''s/envs'\n"))
    }
}
