import AgentService
import ArgumentParser
import AtRisk
import ControlPlaneAPI
import Delivery
import LinuxKit
import Settings
import Storage

struct SnapshotCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot", abstract: "Show, create, list or check bookmarks of this pod.",
        discussion:
            "A snapshot is a bookmark of the pod's configuration. It holds no files: those survive on the volume only.",
        subcommands: [Show.self, Create.self, List.self, Check.self], defaultSubcommand: Show.self)

    /// Asks the control plane with the pod's token.
    static func ask<R: Sendable>(
        _ configuration: AgentConfiguration, _ body: (ControlPlaneSession) async throws(ControlPlaneError) -> R
    ) async throws -> R {
        do { return try await ControlPlaneSession.run(configuration, body) } catch {
            if case .status = error { throw Failure.failed(error) }
            throw Failure.cannot(error)
        }
    }

    static func show(_ snapshot: Snapshot) {
        let volume = snapshot.volume.name ?? snapshot.volume.id.map { "id \($0)" } ?? "none"
        Terminal.write(
            Terminal.table([
                ["snapshot", TerminalText.escape("\(snapshot.id) \"\(snapshot.shape.displayName)\"")],
                ["created", "\(snapshot.createdAt)"],
                [
                    "pool",
                    TerminalText.escape(
                        "\(snapshot.shape.poolName ?? snapshot.shape.poolID), \(snapshot.shape.vgpus) GPU(s)"),
                ],
                ["image", TerminalText.escape(snapshot.shape.imageUUID ?? "-")],
                ["volume", TerminalText.escape(volume)],
            ]))
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the snapshot this pod was restored from.")

        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let snapshot = try await SnapshotCommand.ask(Context.load()) { session throws(ControlPlaneError) in
                try await session.restoredSnapshot()
            }
            guard let snapshot else {
                return Terminal.write(json ? "null" : "This pod was not restored from a snapshot.")
            }
            if json { try Terminal.write(json: snapshot) } else { SnapshotCommand.show(snapshot) }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Bookmark this pod.")

        @Argument(help: "What to call it.") var name: String
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let configuration = Context.load()
            let name = name
            let snapshot = try await SnapshotCommand.ask(configuration) { session throws(ControlPlaneError) in
                try await session.createSnapshot(name: name)
            }
            if json { return try Terminal.write(json: snapshot) }
            SnapshotCommand.show(snapshot)
            guard let report = try? PodView.gather(configuration).atRisk(), report.totalBytes > 0 else { return }
            Terminal.write(
                "\nThe snapshot holds no files: \(ByteCount.format(report.totalBytes)) outside the volume will not be in a restored pod."
                    + " See: packet-agent at-risk")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List this pod's snapshots.")

        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let list = try await SnapshotCommand.ask(Context.load()) { session throws(ControlPlaneError) in
                try await session.snapshots()
            }
            if json { return try Terminal.write(json: list) }
            let rows = list.map {
                [
                    $0.id, "\($0.createdAt)", TerminalText.escape($0.volume.name ?? "-"),
                    TerminalText.escape($0.shape.displayName),
                ]
            }
            Terminal.write(Terminal.table([["ID", "CREATED", "VOLUME", "NAME"]] + rows))
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check whether a snapshot would bring this pod's work back.",
            discussion:
                "Exit status 1 when the snapshot names another volume than the one that is mounted here, or none.")

        @Argument(help: "The snapshot.") var id: String

        func run() async throws {
            let configuration = Context.load()
            let id = id
            let snapshot = try await SnapshotCommand.ask(configuration) { session throws(ControlPlaneError) in
                try await session.snapshot(id: id)
            }
            SnapshotCommand.show(snapshot)
            let mounted = (try? PodView.gather(configuration))?.storage.volumes.filter { $0.state == .ready } ?? []
            guard let name = snapshot.volume.name else {
                throw Failure.failed("the snapshot names no volume: a restored pod starts empty")
            }
            guard mounted.contains(where: { $0.name.jsonText == name }) else {
                throw Failure.failed("the snapshot's volume \(TerminalText.escape(name)) is not mounted here")
            }
            Terminal.write("\nThe snapshot's volume is mounted here; what is on it will be in a restored pod.")
        }
    }
}
