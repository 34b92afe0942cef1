import AgentService
import ArgumentParser
import ControlPlaneAPI
import FoundationEssentials
import Glibc
import LinuxKit
import LocalAPI
import Metering
import Settings
import Storage

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show how the agent, its boot, the volumes, GPUs and delivery are.",
        discussion: "With --wait the exit status is 0 when boot is ready, 1 degraded or failed, 2 when the time is up.")

    @Flag(help: "Print JSON.") var json = false
    @Option(
        defaultAsFlag: Self.usualWait, parsing: .scanningForValue,
        help: "Wait until boot is over, at most so many seconds (--wait=SECONDS; 600 when not said).") var wait: Int?

    /// Seconds for `--wait` without a number.
    static let usualWait = 600

    func run() async throws {
        let configuration = Context.load()
        var document = await Self.look(configuration)
        if let wait {
            let clock = ContinuousClock()
            let deadline = clock.now + .seconds(wait)
            while !Self.isOver(document), clock.now < deadline {
                try? await Task.sleep(for: .milliseconds(200))
                document = await Self.look(configuration)
            }
        }
        if json { try Terminal.write(json: document) } else { Self.show(document) }
        guard wait != nil else { return }
        guard Self.isOver(document) else { throw ExitCode(2) }
        if document.bootState != "ready" { throw ExitCode(1) }
    }

    private static func isOver(_ document: StatusDocument) -> Bool {
        ["ready", "degraded", "failed"].contains(document.bootState)
    }

    private static func look(_ configuration: AgentConfiguration) async -> StatusDocument {
        if let bytes = try? await LocalClient.get("/v1/status", socket: AgentPaths(configuration).socket),
            let document = try? JSONDecoder().decode(StatusDocument.self, from: Data(bytes))
        {
            return document
        }
        return StatusDocument.withoutDaemon(configuration)
    }

    private static func show(_ document: StatusDocument) {
        if let version = document.agent, let pid = document.pid {
            Terminal.write("agent     \(version), pid \(pid), up \(Int(document.uptimeSeconds ?? 0)) s")
        } else {
            Terminal.write("agent     not running")
        }
        Terminal.write("boot      \(document.bootSummary)")
        for reason in document.bootFailures { Terminal.write("          \(TerminalText.escape(reason))") }
        if case .object(let setup) = document.setup, case .string(let state)? = setup["state"] {
            var line = "setup     \(TerminalText.escape(state))"
            if case .string(let reason)? = setup["reason"] { line += ": \(TerminalText.escape(reason))" }
            Terminal.write(line)
        }
        for volume in document.volumes {
            Terminal.write("volume    \(TerminalText.escape(volume.mountPoint)) \(volume.state.rawValue)")
        }
        if document.volumes.isEmpty { Terminal.write("volume    none") }
        Terminal.write("gpu       \(document.gpu.state), \(document.gpu.devices) device(s)")
        let age = document.delivery.lastAckSeconds.map { ", last acknowledged \(Int($0)) s ago" } ?? ""
        Terminal.write("delivery  \(document.delivery.spooled) record(s) waiting\(age)")
        if let failure = document.delivery.failure { Terminal.write("          \(TerminalText.escape(failure))") }
    }
}

struct UsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage", abstract: "Show what this agent recorded of the pod's GPUs, gaps included.")

    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let document: UsageDocument
        do {
            document = try Context.decode(
                UsageDocument.self,
                try await LocalClient.get("/v1/usage", socket: AgentPaths(Context.load()).socket))
        } catch let failure as LocalClient.Failure { throw Failure.cannot(failure) }
        if json { return try Terminal.write(json: document) }
        let rows = document.gpus.sorted { $0.key < $1.key }.map { uuid, sums in
            let gaps = sums.gapMilliseconds.sorted { $0.key < $1.key }.map { "\($0.key) \(Self.seconds($0.value))" }
            return [
                TerminalText.escape(uuid), Self.seconds(sums.observedMilliseconds),
                sums.busyMilliseconds.map(Self.seconds) ?? "-", sums.energyMillijoules.map { "\($0 / 1000) J" } ?? "-",
                gaps.isEmpty ? "-" : gaps.joined(separator: ", "),
            ]
        }
        Terminal.write(Terminal.table([["GPU", "OBSERVED", "BUSY", "ENERGY", "NOT OBSERVED"]] + rows))
        Terminal.write("\n\(document.spooled) record(s) wait for the control plane, which decides what is billed.")
    }

    private static func seconds(_ milliseconds: UInt64) -> String {
        "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s"
    }
}
