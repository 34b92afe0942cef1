import AgentService
import ArgumentParser
import Boot
import LinuxKit
import Settings

struct SetupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup", abstract: "Run the volume's set-up script, or show how it went.",
        subcommands: [Run.self, Status.self, Logs.self], defaultSubcommand: Status.self)

    static func runner() throws -> SetupRunner {
        do { return try SetupRunner(configuration: Context.load()) } catch { throw Failure.cannot(error) }
    }

    struct Run: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Run the script unless it has run in this container.")

        @Flag(help: "Run it again.") var force = false

        func run() throws {
            let runner = try SetupCommand.runner()
            let record: SetupRecord
            do {
                let configuration = Context.loadQuietly().configuration
                let input = try BootPass.setupInput(configuration)
                record = BootPass.noting(configuration) {
                    runner.run(volume: input.volume, environment: input.environment, force: force)
                }
            } catch { throw Failure.cannot(error) }
            Status.show(record)
            if record.state != .succeeded { throw Failure.failed("setup \(record.state.rawValue)") }
        }
    }

    struct Status: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show how the script went.")

        @Flag(help: "Print JSON.") var json = false

        func run() throws {
            let record = try SetupCommand.runner().current()
            if json { return try Terminal.write(json: record) }
            Self.show(record)
        }

        static func show(_ record: SetupRecord) {
            let code = record.exitCode.map { ", exit status \($0)" } ?? ""
            Terminal.write(
                "setup \(record.state.rawValue)\(code)\(record.reason.map { ": " + TerminalText.escape($0) } ?? "")")
            for warning in record.warnings { Terminal.write("warning: \(TerminalText.escape(warning))") }
            if let log = record.log { Terminal.write("log: \(log)") }
        }
    }

    struct Logs: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the end of the script's output.")

        @Option(help: "Lines to show.") var lines = 200

        func run() throws {
            for line in try SetupCommand.runner().logTail(lines: lines) { Terminal.write(TerminalText.escape(line)) }
        }
    }
}
