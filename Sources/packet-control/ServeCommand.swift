import ArgumentParser
import ControlPlaneAPI
import HTTPTypes
import Hummingbird
import LinuxKit
import Logging
import NIOCore

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serve the HTTP API until SIGTERM or SIGINT.")

    @Option(help: "SQLite database; created when it does not exist.")
    var database: String

    @Option(help: "File of team tokens, made by 'packet-control token create'; read again when it changes.")
    var tokens: String

    @Option(help: "Address to listen on; port 0 takes a free one.")
    var listen = "127.0.0.1:8080"

    @Option(help: "File to write the port to once the server listens.")
    var portFile: String?

    @Option(help: "Time between two samples of a GPU that agents are told, in milliseconds (100 to 60000).")
    var sampleIntervalMs: UInt64 = 1000

    @Option(help: "Length of a usage interval that agents are told, in milliseconds (1000 to 3600000).")
    var intervalMs: UInt64 = 60_000

    @Option(help: "Time between two reports that agents are told, in milliseconds (1000 to 3600000).")
    var reportIntervalMs: UInt64 = 60_000

    @Option(
        parsing: .upToNextOption,
        help: "Steps that pods leave out of their boot: volume_wait, lease, restore, environment, setup.",
        transform: Self.feature)
    var bootWithout: [BootFeatures.CodingKeys] = []

    func validate() throws {
        guard Address(listen) != nil else {
            throw ValidationError("--listen takes HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080")
        }
        guard (100...60_000).contains(sampleIntervalMs), (1000...3_600_000).contains(intervalMs),
            (1000...3_600_000).contains(reportIntervalMs), sampleIntervalMs <= intervalMs
        else {
            throw ValidationError("an interval is out of its range; see 'packet-control help serve'")
        }
    }

    private static func feature(_ name: String) throws -> BootFeatures.CodingKeys {
        guard let feature = BootFeatures.CodingKeys(rawValue: name) else {
            let names = BootFeatures.CodingKeys.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("boot has no step \(name); there are \(names)")
        }
        return feature
    }

    private var features: BootFeatures? {
        bootWithout.isEmpty ? nil : bootWithout.reduce(into: BootFeatures()) { $0.switchOff($1) }
    }

    func run() async throws {
        guard let address = Address(listen) else { throw ExitCode(64) }
        var logger = Logger(label: "packet-control", factory: StreamLogHandler.standardError(label:))
        logger.logLevel = .info
        do {
            let teams = try TokenFile(path: tokens, logger: logger)
            let store = try Store(path: database)
            let plane = ControlPlane(
                store: store, teams: teams,
                intervals: .init(sample: sampleIntervalMs, usage: intervalMs, report: reportIntervalMs),
                features: features, logger: logger)
            try await plane.application(address: address) { [portFile, logger] port in
                logger.notice("listening", metadata: ["host": "\(address.host)", "port": "\(port)"])
                guard let portFile else { return }
                do { try AtomicFile.write(Array("\(port)\n".utf8), to: portFile) } catch {
                    logger.error("the port file could not be written", metadata: ["error": "\(error)"])
                }
            }.runService()
            try store.close()
        } catch {
            logger.critical("packet-control stops", metadata: ["error": "\(error)"])
            throw ExitCode(1)
        }
    }
}

/// A host and a port, as `HOST:PORT` or `[IPV6]:PORT`.
struct Address: Sendable, Equatable {
    var host: String
    var port: Int

    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty else { return nil }
        self.host = String(host)
        self.port = Int(port)
    }
}
