public import ControlPlaneAPI
public import Delivery
import NIOCore
import NIOPosix
public import Settings

/// What the command line asks the control plane, with the pod's own token.
public struct ControlPlaneSession: Sendable {
    private let client: ControlPlaneClient
    private let hello: HelloAnswer?

    /// Connects, does `body`, and disconnects.
    ///
    /// - Throws: ``ControlPlaneError``.
    public static func run<R: Sendable>(
        _ configuration: AgentConfiguration, _ body: (ControlPlaneSession) async throws(ControlPlaneError) -> R
    ) async throws(ControlPlaneError) -> R {
        let settings = configuration.controlPlane
        guard !settings.url.isEmpty, !settings.podUID.isEmpty else { throw .notConfigured }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let client = try ControlPlaneClient(
            url: settings.url, tokenFile: settings.tokenFile, caFile: settings.caFile, group: group)
        let result: Result<R, ControlPlaneError>
        do throws(ControlPlaneError) {
            result = .success(
                try await body(ControlPlaneSession(client: client, hello: PodIdentity(configuration).hello)))
        } catch {
            result = .failure(error)
        }
        await client.shutdown()
        try? await group.shutdownGracefully()
        return try result.get()
    }

    /// Bookmarks this pod.
    public func createSnapshot(name: String) async throws(ControlPlaneError) -> Snapshot {
        try await client.exchange("POST", "/v1/snapshots", SnapshotRequest(name: name))
    }

    /// The snapshots that this pod may see.
    public func snapshots() async throws(ControlPlaneError) -> [Snapshot] {
        try await client.exchange("GET", "/v1/snapshots", as: SnapshotList.self).snapshots
    }

    /// One snapshot.
    public func snapshot(id: String) async throws(ControlPlaneError) -> Snapshot {
        // An id is letters, digits, "-" and "_"; anything else would address another path.
        let isPlain = id.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45 || $0 == 95
        }
        guard isPlain, !id.isEmpty else { throw .status(404, "there is no such snapshot") }
        return try await client.exchange("GET", "/v1/snapshots/\(id)")
    }

    /// The snapshot that this pod was restored from; nil when it was not.
    ///
    /// - Throws: ``ControlPlaneError`` `malformed` when the agent has not been answered by the control plane yet.
    public func restoredSnapshot() async throws(ControlPlaneError) -> Snapshot? {
        guard let known = hello?.subscription else {
            throw .malformed("the agent has not been told this pod's subscription yet; see packet-agent status")
        }
        let subscription = try await client.exchange("GET", "/v1/subscriptions/\(known.id)", as: Subscription.self)
        guard let id = subscription.snapshotID else { return nil }
        return try await snapshot(id: id)
    }
}
