import AgentService
import ArgumentParser
import FoundationEssentials
import GPU
import LinuxKit
import LocalAPI
import Settings
import Storage

struct GPUCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "gpu", abstract: "Show the GPUs as NVML sees them.")

    @Flag(help: "Print JSON.") var json = false
    @Flag(help: "Show again every second until interrupted.") var watch = false

    func run() async throws {
        let configuration = Context.load()
        while true {
            let snapshot = try await Self.look(configuration)
            if json { try Terminal.write(json: snapshot) } else { Self.show(snapshot) }
            guard watch else {
                if ![.ok, .noGPU, .noLibrary].contains(snapshot.state) { throw ExitCode(1) }
                return
            }
            try await Task.sleep(for: .seconds(1))
            if !json { Terminal.write("") }
        }
    }

    /// The daemon's answer, else NVML's own.
    private static func look(_ configuration: AgentConfiguration) async throws -> GPUSnapshot {
        if let bytes = try? await LocalClient.get("/v1/gpu", socket: AgentPaths(configuration).socket) {
            return try Context.decode(GPUSnapshot.self, bytes)
        }
        guard let snapshot = FactsGatherer.readGPUs(configuration.gpu) else {
            throw Failure.cannot("no thread could be started to ask NVML")
        }
        return snapshot
    }

    private static func show(_ snapshot: GPUSnapshot) {
        guard !snapshot.devices.isEmpty else {
            return Terminal.write(
                "\(snapshot.state.rawValue)\(snapshot.reason.isEmpty ? "" : ": " + TerminalText.escape(snapshot.reason))"
            )
        }
        if snapshot.state != .ok {
            Terminal.write("\(snapshot.state.rawValue): \(TerminalText.escape(snapshot.reason))")
        }
        let samples = Dictionary(snapshot.samples.map { ($0.uuid, $0) }) { first, _ in first }
        let rows = snapshot.devices.map { device -> [String] in
            let sample = samples[device.uuid]
            let memory: String =
                if let used = sample?.memoryUsedBytes {
                    ByteCount.format(used) + (device.memoryTotalBytes.map { " / " + ByteCount.format($0) } ?? "")
                } else { "-" }
            return [
                device.parentUUID == nil ? "\(device.index)" : "└",
                TerminalText.escape(device.migProfile ?? device.name),
                sample?.utilizationGPUPercent.map { "\($0) %" } ?? "-", memory,
                sample?.powerMilliwatts.map { "\($0 / 1000) W" } ?? "-",
                sample?.temperatureCelsius.map { "\($0) C" } ?? "-", sample?.state.rawValue ?? "-",
                TerminalText.escape(device.uuid),
            ]
        }
        Terminal.write(Terminal.table([["", "NAME", "UTIL", "MEMORY", "POWER", "TEMP", "STATE", "UUID"]] + rows))
        Terminal.write("driver \(snapshot.driverVersion ?? "-"), CUDA \(snapshot.cudaDriverVersion ?? "-")")
        if let event = snapshot.events.last {
            Terminal.write("last event: XID \(event.xid) on \(event.uuid ?? "a GPU")")
        }
    }
}
