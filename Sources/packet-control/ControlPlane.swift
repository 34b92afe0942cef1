import ControlPlaneAPI
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore

/// The control plane: who may do what (``Route``), and what it does (``Store``).
struct ControlPlane: Sendable {
    /// What agents are told about time, in milliseconds.
    struct Intervals: Sendable {
        var sample: UInt64 = 1000
        var usage: UInt64 = 60_000
        var report: UInt64 = 60_000
    }

    let store: Store
    let teams: TokenFile
    var intervals = Intervals()
    /// What of the boot pods may do; nil leaves it to them.
    var features: BootFeatures?
    var logger: Logger
    /// Wall time: labels, and the authority for allocations.
    var now: @Sendable () -> Timestamp = { Timestamp.now() }

    func router() -> Router<ControlContext> {
        let router = Router(context: ControlContext.self)
        router.add(middleware: ErrorMiddleware())
        for route in Route.all {
            router.on(RouterPath(route.path), method: route.method) { request, context in
                let caller: Caller
                do { caller = try await authorise(request, context, route.access) } catch let failure as APIFailure {
                    var response = failure.response
                    if failure.status == .unauthorized {
                        response.headers[.wwwAuthenticate] =
                            route.access == .browser ? "Basic realm=\"packet-control\"" : "Bearer"
                    }
                    return response
                }
                return try await route.handle(self, Call(request: request, context: context, caller: caller))
            }
        }
        return router
    }

    /// The server: at most 256 connections, each closed after 75 idle seconds, headers within 32 KiB.
    func application(
        address: Address, onListening: @escaping @Sendable (Int) -> Void = { _ in }
    ) -> some ApplicationProtocol {
        Application(
            router: router(),
            server: .http1(
                configuration: .init(
                    idleTimeout: .seconds(75),
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: 8 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100))),
            configuration: .init(
                address: .hostname(address.host, port: address.port), serverName: "packet-control",
                availableConnectionsDelegate: MaximumAvailableConnections(256)),
            onServerRunning: { channel in onListening(channel.localAddress?.port ?? address.port) },
            logger: logger)
    }
}

/// One route: what it is called, who may use it, and what it does.
struct Route: Sendable {
    let method: HTTPRequest.Method
    let path: String
    let access: Access
    let handle: @Sendable (ControlPlane, Call) async throws -> Response

    init(
        _ method: HTTPRequest.Method, _ path: String, _ access: Access,
        _ handle: @escaping @Sendable (ControlPlane, Call) async throws -> Response
    ) {
        self.method = method
        self.path = path
        self.access = access
        self.handle = handle
    }

    /// Every route of the control plane; openapi.yaml is its written form.
    static let all: [Route] = [
        Route(.get, "/", .browser) { try await $0.fleetPage($1) },
        Route(.get, "/healthz", .everybody) { plane, _ in try await plane.health() },
        Route(.post, "/v1/pods/{pod}/hello", .ownPod) { try await $0.hello($1) },
        Route(.post, "/v1/pods/{pod}/usage", .ownPod) { try await $0.receiveUsage($1) },
        Route(.put, "/v1/pods/{pod}/report", .ownPod) { try await $0.report($1) },
        Route(.get, "/v1/volumes", .team) { try await $0.listVolumes($1) },
        Route(.post, "/v1/volumes", .team) { try await $0.createVolume($1) },
        Route(.delete, "/v1/volumes/{id}", .team) { try await $0.deleteVolume($1) },
        Route(.get, "/v1/snapshots", .teamOrPod) { try await $0.listSnapshots($1) },
        Route(.post, "/v1/snapshots", .teamOrPod) { try await $0.createSnapshot($1) },
        Route(.get, "/v1/snapshots/{id}", .teamOrPod) { try await $0.readSnapshot($1) },
        Route(.delete, "/v1/snapshots/{id}", .team) { try await $0.deleteSnapshot($1) },
        Route(.post, "/v1/snapshots/{id}/restore", .team) { try await $0.restoreSnapshot($1) },
        Route(.get, "/v1/subscriptions", .team) { try await $0.listSubscriptions($1) },
        Route(.post, "/v1/subscriptions", .team) { try await $0.createSubscription($1) },
        Route(.get, "/v1/subscriptions/{id}", .teamOrPod) { try await $0.readSubscription($1) },
        Route(.delete, "/v1/subscriptions/{id}", .team) { try await $0.endSubscription($1) },
        Route(.get, "/v1/usage", .team) { try await $0.exportUsage($1) },
    ]
}
