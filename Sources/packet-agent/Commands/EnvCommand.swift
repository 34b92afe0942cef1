import AgentService
import ArgumentParser
import Boot
import CLinux
import Environment
import Glibc
import LinuxKit
import Settings

struct EnvCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "env", abstract: "Show, write or take back the variables that point tools at the volume.",
        subcommands: [Show.self, Apply.self, Revert.self], defaultSubcommand: Show.self)

    static func view(_ configuration: AgentConfiguration) throws -> PodView {
        do { return try PodView.gather(configuration) } catch { throw Failure.cannot(error) }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Print the variables.", shouldDisplay: false)

        @Option(help: "sh, fish, json, dotenv or systemd.") var format = "sh"

        func run() throws {
            guard let format = EnvironmentRenderer.Format(rawValue: format) else {
                throw ValidationError("--format is one of sh, fish, json, dotenv, systemd")
            }
            let plan = try EnvCommand.view(Context.load()).environmentPlan()
            let text = EnvironmentRenderer(plan: plan, user: Context.environmentUser, readyFlag: nil).render(format)
            let output = Descriptor(owning: dup(STDOUT_FILENO))
            try? output.writeAll(text)
        }
    }

    struct Apply: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Write the variables for new sessions.")

        @Flag(help: "Only show what would change.") var dryRun = false

        func run() throws {
            let configuration = Context.load()
            let view = try EnvCommand.view(configuration)
            let plan = view.environmentPlan()
            let apply = EnvironmentApply(runtimeDirectory: configuration.agent.runtimeDirectory)
            do {
                let (changes, left) = try apply.changes(for: plan)
                for path in left { Terminal.writeError("left alone: \(TerminalText.escape(path))") }
                if dryRun {
                    for change in changes { EnvCommand.show(change) }
                    if changes.isEmpty { Terminal.write("nothing to change") }
                    return
                }
                let volume = view.bootFacts().primary.map { view.bootFacts().volumes[$0] }
                if let volume {
                    let outcomes = VolumeDirectories.make(
                        plan.directories, at: volume.mountPoint, mountID: volume.mountID)
                    for (directory, outcome) in zip(plan.directories, outcomes) {
                        if case .failed(let reason) = outcome { Terminal.writeError("\(directory.path): \(reason)") }
                    }
                }
                try AtomicFile.createDirectory(configuration.agent.runtimeDirectory)
                try apply.setReady(volume != nil)
                let result = try apply.apply(plan)
                for path in result.changed { Terminal.write("wrote \(path)") }
                if result.changed.isEmpty { Terminal.write("nothing to change") }
                if plan.volume != nil { Terminal.write("for this session: . \(apply.environmentFile)") }
            } catch { throw Failure.cannot(error) }
        }
    }

    struct Revert: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take back what apply wrote.")

        @Flag(help: "Only show what would change.") var dryRun = false

        func run() throws {
            let apply = EnvironmentApply(runtimeDirectory: Context.load().agent.runtimeDirectory)
            do {
                if dryRun {
                    for change in try apply.revertChanges().changes { EnvCommand.show(change) }
                    return
                }
                let result = try apply.revert()
                for path in result.changed { Terminal.write("reverted \(path)") }
                for path in result.left {
                    Terminal.writeError("left alone, because it was changed: \(TerminalText.escape(path))")
                }
                if result.changed.isEmpty { Terminal.write("nothing to revert") }
            } catch { throw Failure.cannot(error) }
        }
    }

    static func show(_ change: EnvironmentApply.FileChange) {
        func lines(_ bytes: [UInt8]?) -> [String] {
            String(decoding: bytes ?? [], as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(
                String.init)
        }
        let (old, new) = (lines(change.old), lines(change.new))
        Terminal.write(
            "--- \(change.old == nil ? "/dev/null" : change.path)\n+++ \(change.new == nil ? "/dev/null" : change.path)"
        )
        for line in old where !line.isEmpty && !new.contains(line) { Terminal.write("-" + TerminalText.escape(line)) }
        for line in new where !line.isEmpty && !old.contains(line) { Terminal.write("+" + TerminalText.escape(line)) }
    }
}

struct ExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a command with the variables that point tools at the volume.",
        discussion:
            "Exit status: the command's own; 125 when it could not be prepared, 126 not executable, 127 not found.")

    @Argument(parsing: .captureForPassthrough, help: "The command and its arguments.") var command: [String]

    func run() throws {
        let words = command.first == "--" ? Array(command.dropFirst()) : command
        guard let program = words.first else {
            throw ValidationError("a command is needed: packet-agent exec -- CMD [ARG...]")
        }
        let plan = (try? PodView.gather(Context.load()))?.environmentPlan()
        var entries = ProcessEnvironment.entries
        if let plan {
            entries = ExecEnvironment.merge(plan, intoEntries: entries, user: Context.environmentUser)
        }
        signal(SIGPIPE, SIG_DFL)
        let code = CStringArray.with(Context.bytes(of: words)) { arguments in
            CStringArray.with(entries) { -clinux_execvpe(arguments[0], arguments, $0) }
        }
        Terminal.writeError(
            "packet-agent: cannot run \(TerminalText.escape(program)): \(String(cString: strerror(code)))")
        throw ExitCode(code == ENOENT ? 127 : 126)
    }
}
