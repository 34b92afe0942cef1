import AgentService
import ArgumentParser
import Boot
import LinuxKit
import Settings

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the agent in the foreground.",
        discussion: "Under systemd use Type=notify. SIGTERM ends it after open usage intervals are durable.")

    @Flag(name: .customLong("no-boot"), help: "Do not start the boot pass.") var noBoot = false

    func run() async throws {
        let loaded = Context.loadQuietly()
        AgentLog.bootstrap(identifier: "packet-agent", level: loaded.configuration.agent.logLevel)
        for error in loaded.errors { Terminal.writeError("packet-agent: \(error)") }
        do {
            try await Daemon.run(loaded.configuration, version: PacketAgent.version, bootPass: !noBoot)
        } catch { throw Failure.cannot(error) }
    }
}

struct BootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "boot", abstract: "One boot pass: wait for the volume, write the environment, run setup.sh.",
        discussion: """
            A step that fails is reported and the next one is done. When a boot is going on already, its end is waited for.

            Exit status: 0 ready; 1 degraded or failed, with the reason.
            """)

    @Flag(help: "Print the report as JSON.") var json = false

    func run() throws {
        let loaded = Context.loadQuietly()
        for error in loaded.errors { Terminal.writeError("packet-agent: \(error)") }
        let report = BootPass.run(loaded.configuration)
        if json {
            try Terminal.write(json: report)
        } else {
            for step in report.steps {
                let detail = step.detail.map { ": " + TerminalText.escape($0) } ?? ""
                Terminal.write("boot: \(step.name) \(step.state.rawValue)\(detail)")
            }
            Terminal.write("boot: \(report.state.rawValue)")
        }
        if report.state != .ready { throw ExitCode(1) }
    }
}
