import Delivery
import Effects
import GPU
import LinuxKit
import Logging
import Metering
import NIOCore
import ServiceLifecycle
import Settings
import Synchronization
import Telemetry

/// Sends what the GPUs do to an OpenTelemetry receiver (OTLP/HTTP): every few seconds one batch, one request at a time.
///
/// A receiver that fails, throttles or hangs costs one batch in memory and nothing else: batches are made only when the last
/// one is settled, and the counters in them lose nothing by that.
final class OTLPExporter: Service {
    /// Seconds that a request may take.
    private static let requestSeconds: Int64 = 10
    /// Seconds for each of the last two requests at a stop.
    private static let farewellSeconds: Int64 = 1

    private let transport: HTTPTransport
    private let settings: AgentConfiguration.OTLP
    private let snapshot: @Sendable () -> GPUSnapshot?
    private let clock: any Clock
    private let logger: Logger
    private let published = Mutex(TelemetryDelivery())
    private let work: Mutex<(metrics: OTLPMetrics, delivery: OTLPDelivery)>

    /// Prepares the export; nil when none is configured or it cannot work, which is logged.
    static func make(
        _ configuration: AgentConfiguration, identity: PodIdentity, version: String, group: any EventLoopGroup,
        clock: any Clock, logger: Logger, snapshot: @escaping @Sendable () -> GPUSnapshot?
    ) -> OTLPExporter? {
        let settings = configuration.otlp
        guard !settings.endpoint.isEmpty, configuration.gpu.enabled else { return nil }
        do throws(HTTPTransport.Failure) {
            let transport = try HTTPTransport(url: settings.endpoint, caFile: settings.caFile, group: group)
            let metrics = OTLPMetrics(
                resource: resource(identity, version: version), version: version,
                startUnixNanoseconds: wallNanoseconds(clock))
            return OTLPExporter(transport, settings, metrics, snapshot, clock, logger)
        } catch {
            logger.error("metrics are not exported: otlp.ca_file", metadata: ["reason": "\(error.reason)"])
            return nil
        }
    }

    private init(
        _ transport: HTTPTransport, _ settings: AgentConfiguration.OTLP, _ metrics: OTLPMetrics,
        _ snapshot: @escaping @Sendable () -> GPUSnapshot?, _ clock: any Clock, _ logger: Logger
    ) {
        self.transport = transport
        self.settings = settings
        self.snapshot = snapshot
        self.clock = clock
        self.logger = logger
        work = Mutex((metrics, OTLPDelivery()))
    }

    /// Who sends (OpenTelemetry's semantic conventions for resources).
    private static func resource(_ identity: PodIdentity, version: String) -> [(String, String)] {
        var resource = [
            ("service.name", "packet-agent"), ("service.version", version), ("host.name", PodIdentity.hostName),
        ]
        if identity.podUID != PodIdentity.local {
            resource.append(("service.instance.id", identity.podUID))
            resource.append(("k8s.pod.uid", identity.podUID))
        }
        return resource
    }

    private static func wallNanoseconds(_ clock: any Clock) -> UInt64 {
        UInt64(max(0, clock.realtimeMilliseconds())) * 1_000_000
    }

    /// How the export goes, for the agent's own metrics.
    var state: TelemetryDelivery { published.withLock { $0 } }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            var due = clock.boottime()
            while !Task.isCancelled {
                if let batch = encode({ $0.encode($1, time: $2) }) { await deliver(batch) }
                let interval = UInt64(settings.intervalSeconds) * 1_000_000_000
                let now = clock.boottime()
                // Late batches are left out, not made up for.
                due += now < due ? 0 : (1 + (now - due) / interval) * interval
                try? await Task.sleep(for: .nanoseconds(due - now))
            }
        }
        await sayFarewell()
        await transport.shutdown()
    }

    /// The last values, and that nothing follows; only to a receiver that took the last batch.
    private func sayFarewell() async {
        guard state.isWorking, let last = encode({ $0.encode($1, time: $2) }),
            case .status(200..<300, _, _) = await send(last, seconds: Self.farewellSeconds),
            let end = encode({ metrics, _, time in metrics.encodeEnd(time: time) })
        else { return }
        _ = await send(end, seconds: Self.farewellSeconds)
    }

    private func encode(_ body: (inout OTLPMetrics, GPUSnapshot, UInt64) -> [UInt8]?) -> [UInt8]? {
        guard let snapshot = snapshot() else { return nil }
        let bytes = work.withLock { body(&$0.metrics, snapshot, Self.wallNanoseconds(clock)) }
        return settings.compression == "gzip" ? bytes.flatMap { Gzip.compress($0) } : bytes
    }

    /// Sends one batch until it is settled.
    private func deliver(_ batch: [UInt8]) async {
        while !Task.isCancelled {
            let answer = await send(batch, seconds: Self.requestSeconds)
            if Task.isCancelled {
                // The stop cut the request off: nobody knows whether the receiver still answers.
                published.withLock { $0.isWorking = false }
                return
            }
            let (now, wall) = (clock.boottime() / 1_000_000, clock.realtimeMilliseconds() / 1000)
            let decision = work.withLock { work in
                let decision = work.delivery.answered(answer, now: now, wall: wall, jitter: .random(in: 0..<1))
                if case .dropped = decision { work.metrics.lastWasDropped() }
                return decision
            }
            publish(decision, answer, now: now)
            guard case .retry(let at) = decision else { return }
            try? await Task.sleep(for: .milliseconds(at - min(at, now)))
        }
    }

    private func send(_ batch: [UInt8], seconds: Int64) async -> OTLPDelivery.Answer {
        var headers = [("Content-Type", OTLPMetrics.contentType)]
        if settings.compression == "gzip" { headers.append(("Content-Encoding", "gzip")) }
        if !settings.headersFile.isEmpty {
            do throws(SecretFile.Failure) { headers += try HeadersFile.read(settings.headersFile) } catch {
                return .unreachable("otlp.headers_file: \(error)")
            }
        }
        do throws(HTTPTransport.Failure) {
            let response = try await transport.request(
                "POST", OTLPMetrics.path, headers: headers, body: batch, seconds: seconds)
            return .status(Int(response.status), retryAfter: response.retryAfter, body: response.body)
        } catch {
            return .unreachable(error.reason)
        }
    }

    private func publish(_ decision: OTLPDelivery.Decision, _ answer: OTLPDelivery.Answer, now: UInt64) {
        var failure: String?
        switch decision {
        case .delivered(let warning): failure = warning.map { "the receiver warns: \(TerminalText.escape($0))" }
        case .partlyRejected(let points, let reason):
            failure = "the receiver refused \(points) data point(s): \(TerminalText.escape(reason))"
        case .dropped(let reason): failure = reason
        case .retry:
            switch answer {
            case .status(let status, _, _): failure = "the receiver answered \(status)"
            case .unreachable(let reason): failure = reason
            }
        }
        let (dropped, rejected) = work.withLock { ($0.delivery.droppedBatches, $0.delivery.rejectedPoints) }
        let before = published.withLock { state in
            defer {
                state.lastFailure = failure
                state.droppedBatches = dropped
                state.rejectedPoints = rejected
                switch decision {
                case .delivered, .partlyRejected:
                    state.batches += 1
                    state.lastSuccess = now
                    state.isWorking = true
                case .retry, .dropped: state.isWorking = false
                }
            }
            return state.lastFailure
        }
        guard failure != before else { return }
        if let failure {
            logger.warning("metrics are not taken by the OTLP receiver", metadata: ["reason": "\(failure)"])
        } else {
            logger.notice("metrics are taken by the OTLP receiver again")
        }
    }
}
