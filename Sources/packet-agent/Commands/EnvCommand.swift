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
        subcommands: [Show.self, Apply.self, Revert.self, Prove.self], defaultSubcommand: Show.self)

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
            let configuration = Context.load()
            let plan = try EnvCommand.view(configuration).environmentPlan(findsPythons: format == .json)
            let apply = EnvironmentApply(configuration)
            var renderer = EnvironmentRenderer(plan: plan, user: Context.environmentUser, readyFlag: nil)
            if format == .json {
                renderer.environmentFile = apply.environmentFile
                renderer.layers = apply.states(for: plan)
            }
            let output = Descriptor(owning: dup(STDOUT_FILENO))
            try? output.writeAll(renderer.render(format))
        }
    }

    struct Apply: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Write the variables for new sessions.")

        @Flag(help: "Only show what would change.") var dryRun = false

        func run() throws {
            let configuration = Context.load()
            let view = try EnvCommand.view(configuration)
            let plan = view.environmentPlan()
            let apply = EnvironmentApply(configuration)
            if dryRun { return EnvCommand.show(apply.changes(for: plan)) }
            let facts = view.bootFacts()
            if let volume = facts.primary.map({ facts.volumes[$0] }) {
                let outcomes = VolumeDirectories.make(plan.directories, at: volume.mountPoint, mountID: volume.mountID)
                for (directory, outcome) in zip(plan.directories, outcomes) {
                    if case .failed(let reason) = outcome { Terminal.writeError("\(directory.path): \(reason)") }
                }
            }
            do {
                let result = try apply.apply(plan)
                EnvCommand.report(result, verb: "wrote", nothing: "nothing to change")
                if plan.volume != nil { Terminal.write("for this session: . \(apply.environmentFile)") }
                if !result.problems.isEmpty { throw ExitCode(1) }
            } catch let error as LinuxError { throw Failure.cannot(error) }
        }
    }

    struct Revert: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take back what apply wrote.")

        @Flag(help: "Only show what would change.") var dryRun = false

        func run() throws {
            let apply = EnvironmentApply(Context.load())
            if dryRun { return EnvCommand.show(apply.revertChanges()) }
            do {
                let result = try apply.revert()
                EnvCommand.report(result, verb: "reverted", nothing: "nothing to revert")
                if !result.problems.isEmpty { throw ExitCode(1) }
            } catch let error as LinuxError { throw Failure.cannot(error) }
        }
    }

    static func report(_ result: EnvironmentApply.Result, verb: String, nothing: String) {
        for path in result.changed { Terminal.write("\(verb) \(TerminalText.escape(path))") }
        for left in result.left { Terminal.writeError("left alone: \(TerminalText.escape(left.description))") }
        if result.changed.isEmpty { Terminal.write(nothing) }
    }

    static func show(_ plan: (changes: [FileChange], left: [LeftAlone])) {
        for change in plan.changes {
            for line in UnifiedDiff.lines(path: change.path, old: change.old, new: change.new) {
                Terminal.write(TerminalText.escape(line))
            }
        }
        for left in plan.left { Terminal.writeError("left alone: \(TerminalText.escape(left.description))") }
        if plan.changes.isEmpty { Terminal.write("nothing to change") }
    }
}

struct ExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a command with the variables that point tools at the volume.",
        discussion: """
            With --wait the command starts when boot is over or the time is up, whatever boot came to: as an image's \
            entrypoint, packet-agent init -- packet-agent exec --wait=600 -- CMD.

            Exit status: the command's own; 125 when it could not be prepared, 126 not executable, 127 not found.
            """)

    @Option(
        defaultAsFlag: StatusCommand.usualWait, parsing: .scanningForValue,
        help: "Wait until boot is over, at most so many seconds (--wait=SECONDS).") var wait: Int?
    @Argument(parsing: .captureForPassthrough, help: "The command and its arguments.") var command: [String]

    func run() throws {
        let words = command.first == "--" ? Array(command.dropFirst()) : command
        guard let program = words.first else {
            throw ValidationError("a command is needed: packet-agent exec -- CMD [ARG...]")
        }
        let configuration = Context.load()
        if let wait { _ = BootPass.waitForEnd(configuration, seconds: wait) }
        let plan = (try? PodView.gather(configuration))?.environmentPlan(findsPythons: false)
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
