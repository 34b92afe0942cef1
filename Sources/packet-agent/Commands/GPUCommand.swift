import AgentService
import ArgumentParser
import FoundationEssentials
import GPU
import GPUView
import Glibc
import LinuxKit
import LocalAPI
import Settings
import Storage

struct GPUCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gpu", abstract: "Show the GPUs as NVML sees them, or let them go for a reset.",
        subcommands: [GPUShowCommand.self, GPUReleaseCommand.self, GPUResumeCommand.self],
        defaultSubcommand: GPUShowCommand.self)
}

struct GPUShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show the GPUs as NVML sees them.")

    @Flag(help: "Print JSON.") var json = false
    @Flag(help: "Show again every second until interrupted.") var watch = false

    func run() async throws {
        let configuration = Context.load()
        if watch, !json, let screen = TerminalScreen() { return try await Self.watch(configuration, screen) }
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
        if let snapshot = await askDaemon(configuration) { return snapshot }
        guard let snapshot = FactsGatherer.readGPUs(configuration.gpu) else {
            throw Failure.cannot("no thread could be started to ask NVML")
        }
        return snapshot
    }

    private static func askDaemon(_ configuration: AgentConfiguration) async -> GPUSnapshot? {
        guard let bytes = try? await LocalClient.get("/v1/gpu", socket: AgentPaths(configuration).socket) else {
            return nil
        }
        return try? Context.decode(GPUSnapshot.self, bytes)
    }

    private static func show(_ snapshot: GPUSnapshot) {
        // A file gets lines as long as they are.
        let width = isatty(STDOUT_FILENO) == 1 ? Terminal.columns : 400
        for line in GPUTable.lines(snapshot, width: width) {
            Terminal.write(Terminal.hasColour ? line.terminal : line.plain)
        }
    }

    /// The live view: the daemon's looks, or those of a sampler of our own where there is no daemon.
    private static func watch(_ configuration: AgentConfiguration, _ screen: TerminalScreen) async throws {
        defer { screen.close() }
        var history = GPUHistory()
        var sampler: GPUSampler?
        defer { _ = sampler?.stop(milliseconds: 200) }
        while true {
            if let snapshot = await askDaemon(configuration) {
                history.add(snapshot)
            } else {
                if sampler == nil {
                    var options = GPUSampler.Options()
                    options.libraryPath = configuration.gpu.library
                    let own = try GPUSampler(options)
                    try own.start()
                    sampler = own
                }
                if let snapshot = sampler?.snapshot { history.add(snapshot) }
            }
            let (columns, rows) = screen.size
            let lines = GPUScreen(columns: columns, rows: rows).render(history, clock: timeOfDay())
            screen.show(lines.map { Terminal.hasColour ? $0.terminal : $0.plain })
            switch await key(screen) {
            case .quit, .closed: return
            case .other, .none: break
            }
        }
    }

    /// A key within the next second. poll(2) blocks, so it gets a thread of its own.
    private static func key(_ screen: TerminalScreen) async -> TerminalScreen.Key {
        await withCheckedContinuation { continuation in
            // unsafe: the screen is not used by anybody else until the answer is there.
            nonisolated(unsafe) let screen = screen
            do {
                _ = try DedicatedThread(name: "keys") { continuation.resume(returning: screen.key(milliseconds: 1000)) }
            } catch {
                continuation.resume(returning: .closed)
            }
        }
    }

    private static func timeOfDay() -> String {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }
}
