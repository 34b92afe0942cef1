import ArgumentParser
import HTTPTypes

/// The reference control plane: volumes, snapshots, subscriptions and the usage ledger over HTTP, on one SQLite file.
@main
struct PacketControl: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "packet-control",
        abstract: "A small control plane for pods that run packet-agent.",
        version: version,
        subcommands: [ServeCommand.self, TokenCommand.self, RoutesCommand.self])
}

/// Prints every route, so that a script can compare them with openapi.yaml.
struct RoutesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "routes", abstract: "Print the HTTP routes, one METHOD PATH a line.", shouldDisplay: false)

    func run() {
        for route in Route.all { print(route.method.rawValue, route.path) }
    }
}
