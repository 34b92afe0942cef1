import AgentService
import ArgumentParser
import Boot
import Glibc
import LinuxKit
import Settings

struct SetupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup", abstract: "Run the volume's set-up scripts, or show how they went.",
        discussion: """
            setup.sh on the volume, then setup.d/*.sh in the order of their names, run once at every container start, each \
            as its owner. One that others could change is refused, with the reason.
            """,
        subcommands: [Run.self, Status.self, Logs.self], defaultSubcommand: Status.self)

    static func runner() throws -> SetupRunner {
        do { return try SetupRunner(configuration: Context.load()) } catch { throw Failure.cannot(error) }
    }

    struct Run: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run the scripts that have not run in this container.")

        @Flag(help: "Run all of them again.") var force = false

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
        static let configuration = CommandConfiguration(abstract: "Show how the scripts went.")

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
            if let scripts = record.scripts, scripts.count > 1 {
                let rows = scripts.map { script in
                    let code = script.exitCode.map { "exit status \($0)" } ?? ""
                    return [script.name, script.state?.rawValue ?? "waits", script.user ?? "", code]
                }
                Terminal.write(Terminal.table([["SCRIPT", "STATE", "USER", ""]] + rows))
            }
            for warning in record.warnings { Terminal.write("warning: \(TerminalText.escape(warning))") }
            if let log = record.log { Terminal.write("log: \(log)") }
        }
    }

    struct Logs: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the end of the scripts' output.")

        @Option(help: "Lines to show.") var lines = 200
        @Flag(name: .shortAndLong, help: "Show all of it, and what comes until the scripts have ended.") var follow =
            false

        func run() throws {
            let runner = try SetupCommand.runner()
            do {
                guard follow else { return show(try runner.logTail(lines: lines)) }
                var follower = SetupLogFollower(runner.logPath)
                while true {
                    // Asked first: what a script wrote before its end is then shown in any case.
                    let isRunning = runner.current().state.isRunning
                    show(try follower.lines(isLast: !isRunning))
                    if !isRunning { return }
                    usleep(200_000)
                }
            } catch { throw Failure.cannot(error) }
        }

        // Escaped already.
        private func show(_ lines: [String]) {
            for line in lines { Terminal.write(line) }
        }
    }
}
