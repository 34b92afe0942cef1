import Effects
import GPU
import LinuxKit
import LocalAPI
import Logging
import NIOPosix
import Settings
import Telemetry

/// `/metrics` for Prometheus. A scrape is answered from the last look, also while NVML hangs.
enum MetricsServer {
    /// Starts it; nil when it is switched off or the address cannot be listened on, which stops nothing else.
    ///
    /// - Parameters:
    ///   - health: what the agent knows of itself, from memory.
    ///   - snapshot: what was last seen of the GPUs; nil when they are not looked at.
    static func start(
        _ settings: AgentConfiguration.Metrics, version: String, group: MultiThreadedEventLoopGroup, clock: any Clock,
        logger: Logger, health: @escaping @Sendable () -> AgentHealth, snapshot: @escaping @Sendable () -> GPUSnapshot?
    ) async -> LocalServer? {
        guard let address = settings.address else { return nil }
        var spelling = LabelSpelling()
        spelling.uuid = settings.uuidLabel
        spelling.hostname = settings.hostnameLabel
        let exposition = PrometheusExposition(
            spelling: spelling, hostname: settings.hostname.isEmpty ? PodIdentity.hostName : settings.hostname,
            version: version)
        do {
            return try await LocalServer.start(host: address.host, port: address.port, group: group) { path in
                guard path == "/metrics" else {
                    return .init(status: 404, contentType: "text/plain; charset=utf-8", body: Array("/metrics\n".utf8))
                }
                let seen = snapshot() ?? GPUSnapshot(state: .released, reason: "switched off (gpu.enabled)")
                return .init(
                    contentType: PrometheusExposition.contentType,
                    body: exposition.render(seen, health: health(), now: clock.boottime()))
            }
        } catch {
            logger.warning(
                "metrics are not served; metrics.listen names another address, or none",
                metadata: ["address": "\(settings.listen)", "reason": "\(error)"])
            return nil
        }
    }
}
