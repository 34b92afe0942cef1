import Environment
import FoundationEssentials
import Glibc
import LinuxKit
import Testing

/// A shell that is there, and how it reads our file and then runs `env -0`.
struct Shell: Sendable, CustomTestStringConvertible {
    let path: String
    let options: [String]
    let format: EnvironmentRenderer.Format
    var testDescription: String { path }

    static let all = [
        Shell(path: "/bin/dash", options: ["-eu"], format: .sh),
        Shell(path: "/bin/bash", options: ["-eu"], format: .sh),
        Shell(path: "/bin/bash", options: ["--posix", "-eu"], format: .sh),
        Shell(path: "/usr/bin/zsh", options: ["-feu"], format: .sh),
        Shell(path: "/usr/bin/fish", options: ["--no-config"], format: .fish),
    ].filter { access($0.path, X_OK) == 0 }

    func read(_ file: String, environment: [String: String], before: String = "") throws -> [String: String] {
        let source = format == .fish ? "source" : "."
        return entries(
            try output(
                path, options + ["-c", "\(before)\(source) '\(file)'; \(source) '\(file)'; exec /usr/bin/env -0"],
                environment: environment.merging(["LC_ALL": "C.UTF-8"]) { own, _ in own }))
    }
}

@Suite struct RenderTests {
    @Test(arguments: Shell.all) func aShellSeesExactlyThePlan(shell: Shell) throws {
        let scratch = try Scratch()
        let plan = EnvironmentPlan.make(facts(["HF_HUB_CACHE": "/root/it's old"]))
        let apply = EnvironmentApply(runtimeDirectory: scratch.path)
        try AtomicFile.write(apply.renderer(plan).render(shell.format), to: scratch.path + "/file")

        let start = ["HOME": scratch.path, "HF_HUB_CACHE": "/root/it's old", "TORCH_HOME": "/mine"]
        #expect(try shell.read(scratch.path + "/file", environment: start)["HF_HOME"] == nil, "no flag, nothing is set")
        try apply.setReady(true)
        let seen = try shell.read(scratch.path + "/file", environment: start)
        #expect(seen["HF_HOME"] == "/mnt/v/huggingface")
        #expect(seen["HF_HUB_CACHE"] == "/mnt/v/huggingface/hub", "the container's own value is replaced")
        #expect(seen["TORCH_HOME"] == "/mine", "the user's value wins")
        #expect(seen["HF_TOKEN_PATH"] == scratch.path + "/.cache/huggingface/token")
        #expect(
            try shell.read(scratch.path + "/file", environment: ["HOME": "/root"])["HF_TOKEN_PATH"]
                == "/mnt/v/.packet/secrets/0/hf/token")
        let expected = ExecEnvironment.merge(plan, into: start, user: .init(uid: 7, home: scratch.path))
        for (name, value) in expected { #expect(seen[name] == value, "\(name)") }
    }

    @Test(arguments: Shell.all) func thePythonPathKeepsWhatWasThereAndGrowsOnlyOnce(shell: Shell) throws {
        let scratch = try Scratch()
        var facts = facts()
        facts.pythonPath = .always
        let renderer = EnvironmentRenderer(plan: EnvironmentPlan.make(facts), readyFlag: nil)
        try AtomicFile.write(renderer.render(shell.format), to: scratch.path + "/file")
        #expect(try shell.read(scratch.path + "/file", environment: [:])["PYTHONPATH"] == "/mnt/v/pip-packages")
        #expect(
            try shell.read(scratch.path + "/file", environment: ["PYTHONPATH": "/a:/b c"])["PYTHONPATH"]
                == "/mnt/v/pip-packages:/a:/b c")
    }

    @Test(arguments: Shell.all) func everyByteSurvivesQuoting(shell: Shell) throws {
        let scratch = try Scratch()
        var generator = Seeded(state: 42)
        let traps = [
            "$(touch PWNED)", "`id`", "'", "''", "\\", "\\'", "\"$HOME\"", "a\nb", "\n", " ", "~", "*", "!x", "#", "\r",
            "\t",
        ]
        var values = traps.map { Array($0.utf8) } + [Array(UInt8(1)...UInt8(255))]
        for _ in 0..<400 {
            values.append(
                (0..<Int.random(in: 1...24, using: &generator)).map { _ in UInt8.random(in: 1...255, using: &generator)
                })
        }
        var script: [UInt8] = []
        for value in values {
            script += Array("printf '%s\\0' ".utf8)
            script += shell.format == .fish ? ShellQuoting.fish(value) : ShellQuoting.posix(value)
            script += [UInt8(ascii: "\n")]
        }
        try AtomicFile.write(script, to: scratch.path + "/script")
        let result = try output(
            shell.path, shell.options + [scratch.path + "/script"], environment: ["LC_ALL": "C.UTF-8"])
        let seen = result.split(separator: 0, omittingEmptySubsequences: false).dropLast().map(Array.init)
        #expect(seen.count == values.count)
        for (seen, value) in zip(seen, values) where seen != value { Issue.record("\(value) became \(seen)") }
        #expect(access("PWNED", F_OK) != 0)
    }

    @Test(arguments: Shell.all) func oddVolumeNamesReachTheShellUnchanged(shell: Shell) throws {
        let scratch = try Scratch()
        for name in ["a b", "it's", "ünï", "q\"\\`!", "new\nline", "-n", "*"] {
            let plan = EnvironmentPlan.make(facts(volume: .init(name: name, mountPoint: "/mnt/" + name)))
            try AtomicFile.write(
                EnvironmentRenderer(plan: plan, readyFlag: nil).render(shell.format), to: scratch.path + "/file")
            let seen = try shell.read(scratch.path + "/file", environment: [:])
            #expect(!plan.variables.isEmpty)
            for variable in plan.variables { #expect(seen[variable.name] == variable.value) }
        }
    }

    @Test func theJSONIsTheContract() throws {
        let bytes = EnvironmentRenderer(plan: EnvironmentPlan.make(facts()), readyFlag: "/f").render(.json)
        let document = try JSONDecoder().decode(EnvironmentRenderer.Document.self, from: Data(bytes))
        #expect(document.schema == "packet-agent/env/1")
        #expect(document.volume == "v")
        #expect(document.variables["HF_HOME"]?.value == "/mnt/v/huggingface")
        #expect(document.variables["HF_TOKEN_PATH"]?.value == "/mnt/v/.packet/secrets/0/hf/token")
        #expect(document.skipped["TRITON_CACHE_DIR"] != nil)
        let none = EnvironmentRenderer(plan: EnvironmentPlan.make(facts(volume: nil)), readyFlag: nil).render(.json)
        #expect(String(decoding: none, as: UTF8.self).contains("\"volume\" : null"))
    }

    @Test func dotenvQuotesOnlyWhatNeedsIt() {
        #expect(ShellQuoting.dotenv("/mnt/v/a-b_c.1".utf8) == Array("/mnt/v/a-b_c.1".utf8))
        #expect(ShellQuoting.dotenv("it's $x \\".utf8) == Array(#"'it\'s $x \\'"#.utf8))
    }

    private static let generator = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"

    @Test(.enabled(if: access(generator, X_OK) == 0)) func systemdReadsEnvironmentDAsWeMeantIt() throws {
        let scratch = try Scratch()
        try AtomicFile.createDirectory(scratch.path + "/environment.d")
        let values = ["plain", "it's", "a b", "$HOME", "${X:-y}", "q\"\\`", "new\nline", "# no", "é", "\\n", " lead"]
        var text = ""
        for (index, value) in values.enumerated() {
            text +=
                "V\(index)=" + String(decoding: try #require(ShellQuoting.environmentD(value.utf8)), as: UTF8.self)
                + "\n"
        }
        try AtomicFile.write(text.utf8, to: scratch.path + "/environment.d/x.conf")
        let printed = try output(
            Self.generator, [], environment: ["XDG_CONFIG_HOME": scratch.path, "HOME": scratch.path])
        // The generator prints shell assignments; bash reads them back.
        try AtomicFile.write(Array("set -a\n".utf8) + printed, to: scratch.path + "/printed")
        let seen = entries(try output("/bin/bash", ["-c", ". \(scratch.path)/printed; exec env -0"]))
        // It writes a newline as \n inside double quotes, which bash leaves as it is.
        for (index, value) in values.enumerated() { #expect(seen["V\(index)"] == value.replacing("\n", with: "\\n")) }
        #expect(ShellQuoting.environmentD([0x1b]) == nil)
        #expect(ShellQuoting.environmentD([0xff]) == nil)
    }
}
