import AgentService
import ArgumentParser
import LinuxKit
import Storage

struct StorageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storage", abstract: "Show mounts, volumes, and how long data at each PATH lives.")

    @Flag(help: "Print JSON.") var json = false
    @Argument(help: "Paths to ask about.") var paths: [String] = []

    func run() throws {
        let configuration = Context.load()
        var options = PodIdentity(configuration).storageOptions(configuration)
        if !json, !paths.isEmpty { options.scope = .pathsOnly }
        let report: StorageReport
        do {
            report = try StorageReport.gather(
                paths: Context.bytes(of: paths).map { BytePath(bytes: $0) }, options: options)
        } catch { throw Failure.cannot(error) }
        if json { return try Terminal.write(json: report) }
        for problem in report.problems ?? [] { Terminal.writeError("packet-agent: \(problem)") }
        paths.isEmpty ? show(report) : show(paths: report.paths)
    }

    private func show(paths: [StorageReport.PathEntry]) {
        for entry in paths {
            let certainty = entry.confidence == .certain ? "" : " (\(entry.confidence.rawValue))"
            Terminal.write("\(TerminalText.escape(entry.path)): \(entry.lifetime.rawValue)\(certainty)")
            for hop in entry.hops ?? [] {
                Terminal.write(
                    "  link       \(TerminalText.escape(hop.link)) \(Terminal.arrow) \(TerminalText.escape(hop.target))"
                )
            }
            if entry.resolved != entry.path { Terminal.write("  leads to   \(TerminalText.escape(entry.resolved))") }
            if let parent = entry.existingParent {
                let state = entry.exists == false ? "does not exist yet" : "not known to exist"
                Terminal.write("  \(state); the nearest directory that does is \(TerminalText.escape(parent))")
            }
            if let mount = entry.mountPoint { Terminal.write("  mounted at \(TerminalText.escape(mount))") }
            Terminal.write("  because    \(TerminalText.escape(entry.reason))")
        }
    }

    private func show(_ report: StorageReport) {
        if report.volumes.isEmpty {
            Terminal.write("No volume is mounted: nothing written here survives the pod.\n")
        } else {
            let rows = report.volumes.map { volume in
                let space: String =
                    if let used = volume.usedBytes, let size = volume.sizeBytes {
                        "\(ByteCount.format(used)) of \(ByteCount.format(size))"
                    } else { "" }
                return [
                    TerminalText.escape(volume.mountPoint), volume.state.rawValue, volume.fstype ?? "-", space,
                    TerminalText.escape(volume.reason ?? ""),
                ]
            }
            Terminal.write(Terminal.table([["VOLUME", "STATE", "TYPE", "USED", ""]] + rows) + "\n")
        }
        let shown = report.mounts.filter { ![.kernel, .image].contains($0.lifetime) }
        let rows = shown.map {
            [
                TerminalText.escape($0.mountPoint), $0.fstype,
                $0.lifetime.rawValue + ($0.confidence == .certain ? "" : "?"), TerminalText.escape($0.reason),
            ]
        }
        Terminal.write(Terminal.table([["MOUNT", "TYPE", "LIFETIME", "WHY"]] + rows))
    }
}
