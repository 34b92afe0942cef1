import Environment
import Glibc
import LinuxKit
import Settings
import Testing

/// Real sessions over a copy of the real /etc, in a mount namespace: each layer alone reaches what it says.
@Suite struct SessionTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let layer: String
        let session: SessionKind
        let command: [String]
        var testDescription: String { "\(layer) -> \(session.rawValue)" }
    }

    private static let print = "exec env -0"

    static let cases = [
        Case(layer: "profile.d", session: .loginShell, command: ["/bin/bash", "-lc", print]),
        Case(layer: "profile.d", session: .loginShell, command: ["/bin/dash", "-lc", print]),
        Case(layer: "bash.bashrc", session: .interactiveShell, command: ["/bin/bash", "-ic", print]),
        Case(layer: "bash.bashrc", session: .sshCommand, command: ["ssh", "env -0"]),
        Case(layer: "zshenv", session: .zsh, command: ["/bin/zsh", "-c", print]),
        Case(layer: "zshenv", session: .zsh, command: ["/bin/zsh", "-fc", print]),
        Case(layer: "fish", session: .fish, command: ["/usr/bin/fish", "-c", print]),
        Case(layer: "environment", session: .su, command: ["/bin/su", "root", "-s", "/bin/sh", "-c", print]),
        Case(layer: "sshd", session: .sshCommand, command: ["ssh", "env -0"]),
    ]

    @Test(arguments: cases) func aLayerAloneReachesItsSessions(_ test: Case) throws {
        try requirePrograms("/usr/sbin/sshd", "/usr/bin/ssh", "/bin/zsh", "/usr/bin/fish", "/usr/bin/unshare")
        try #require(geteuid() == 0, "needs root, for a mount namespace")
        let scratch = try Scratch()
        try output("/bin/cp", ["-a", "/etc", scratch.path + "/etc"])
        chmod(scratch.path, 0o755)
        let others = AgentConfiguration.Environment.layers.filter { $0 != test.layer }
        let apply = EnvironmentApply(runtimeDirectory: scratch.path + "/run", disabled: others, root: scratch.path)
        let odd = EnvironmentPlan.Volume(name: "v", mountPoint: "/mnt/my volume")
        let plan = EnvironmentPlan.make(facts(volume: odd))
        #expect(EnvironmentLayer.all.first { $0.id == test.layer }?.reaches.contains(test.session) == true)

        let server =
            test.command[0] == "ssh"
            ? try SSHServer(Scratch(), configuration: Array("Include /etc/ssh/sshd_config.d/*.conf\n".utf8)) : nil
        func session() throws -> [String: String] {
            var command = test.command
            if command[0] == "ssh" {
                command = try #require(server).client(command[1])
            }
            return entries(
                try output(
                    "/usr/bin/unshare",
                    ["-m", "/bin/sh", "-ec", "mount --bind '\(scratch.path)/etc' /etc; exec \"$@\"", "sh"] + command,
                    environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": scratch.path, "TERM": "dumb"]))
        }
        #expect(try session()["HF_HOME"] == nil)
        let result = try apply.apply(plan)
        #expect(result.problems.isEmpty)
        let seen = try session()
        for variable in plan.variables { #expect(seen[variable.name] == variable.value, "\(variable.name)") }
        try apply.apply(plan, ready: false)
        #expect(try session()["HF_HOME"] == nil, "no session points to a volume that is gone")
        try apply.revert()
        #expect(try session()["HF_HOME"] == nil)
        try output("/usr/bin/diff", ["-r", "--no-dereference", "/etc", scratch.path + "/etc"])
    }

    @Test func bashCommandsReadTheFileThatBashEnvNames() throws {
        let scratch = try Scratch()
        var facts = facts()
        facts.bashEnvironment = scratch.path + "/env.sh"
        let plan = EnvironmentPlan.make(facts)
        #expect(plan.variables.first { $0.name == "BASH_ENV" }?.value == scratch.path + "/env.sh")
        try EnvironmentApply(
            runtimeDirectory: scratch.path, disabled: AgentConfiguration.Environment.layers, root: scratch.path
        )
        .apply(plan)
        let seen = entries(
            try output("/bin/bash", ["-c", "exec env -0"], environment: ["BASH_ENV": scratch.path + "/env.sh"]))
        #expect(seen["HF_HOME"] == "/mnt/v/huggingface")
        facts.container = ["BASH_ENV": "/mine"]
        #expect(!EnvironmentPlan.make(facts).variables.contains { $0.name == "BASH_ENV" })
    }
}
