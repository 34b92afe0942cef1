import Delivery
import Effects
import Logging
import Metering
import ServiceLifecycle
import Synchronization
import UsageRecord

/// Runs the delivery state machine: asks the meter for records, sends them, and does what the answer allows.
final class UsageDelivery: Service {
    /// What others may know.
    struct State: Sendable {
        /// CLOCK_BOOTTIME in milliseconds of the last valid acknowledgement; nil before the first.
        var lastAcknowledgement: UInt64?
        /// Why the last attempt brought nothing; nil after one that did.
        var lastFailure: String?
    }

    /// Seconds that a stop may take; what is not delivered by then stays in the spool.
    private static let stopSeconds = 8

    private let meter: UsageMeter
    private let client: ControlPlaneClient
    private let podUID: String
    private let clock: any Clock
    private let logger: Logger
    private let events: AsyncStream<DeliveryEvent>
    private let post: AsyncStream<DeliveryEvent>.Continuation
    private let published = Mutex(State())

    init(meter: UsageMeter, client: ControlPlaneClient, podUID: String, clock: any Clock, logger: Logger) {
        self.meter = meter
        self.client = client
        self.podUID = podUID
        self.clock = clock
        self.logger = logger
        (events, post) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(256))
        let post = post
        meter.notify { post.yield(.recordsAvailable) }
    }

    var state: State { published.withLock { $0 } }

    func run() async throws {
        var machine = DeliveryMachine(random: SystemRandomSource())
        var timer: Task<Void, Never>?
        post.yield(.recordsAvailable)
        await withGracefulShutdownHandler {
            for await event in events {
                let actions = machine.handle(
                    event, now: clock.boottime() / 1_000_000, realtime: clock.realtimeMilliseconds())
                publish(machine)
                if await perform(actions, &timer) { break }
            }
        } onGracefulShutdown: { [post] in
            post.yield(.stop)
            // A control plane that does not answer must not hold the pod's end up.
            Task {
                try? await Task.sleep(for: .seconds(Self.stopSeconds))
                post.finish()
            }
        }
        timer?.cancel()
    }

    /// Performs actions in order; true when the machine is done.
    private func perform(_ actions: [DeliveryAction], _ timer: inout Task<Void, Never>?) async -> Bool {
        // Deletions come first and are done together, so that a refused one is known before the next load.
        let local = actions.filter(Self.isLocal)
        let isDone = local.isEmpty ? true : await meter.act(local)
        for action in actions where !Self.isLocal(action) {
            switch action {
            case .load(let maximumEvents, let maximumBytes):
                guard isDone, let records = await meter.load(maximumEvents: maximumEvents, maximumBytes: maximumBytes)
                else {
                    post.yield(.loadFailed)
                    continue
                }
                post.yield(.loaded(records))
            case .send(let body, _): await send(body)
            case .wait(let milliseconds):
                timer?.cancel()
                timer = Task { [post] in
                    try? await Task.sleep(for: .milliseconds(milliseconds))
                    if !Task.isCancelled { post.yield(.timer) }
                }
            case .refreshToken: break  // The client reads the token file for every request.
            case .done: return true
            default: break
            }
        }
        return false
    }

    private static func isLocal(_ action: DeliveryAction) -> Bool {
        switch action {
        case .deleteThrough, .keepRejected, .quarantine: true
        default: false
        }
    }

    private func send(_ body: [UInt8]) async {
        do {
            let response = try await client.request(
                "POST", "/v1/pods/\(podUID)/usage", body: body, contentType: Batch.contentType)
            post.yield(
                .responded(status: Int(response.status), retryAfter: response.retryAfter, body: response.body))
        } catch {
            post.yield(.transportFailed(reason: error.description))
        }
    }

    private func publish(_ machine: DeliveryMachine<SystemRandomSource>) {
        let before = published.withLock { state in
            defer {
                state.lastAcknowledgement = machine.lastAcknowledgement
                state.lastFailure = machine.lastFailure
            }
            return state.lastFailure
        }
        guard machine.lastFailure != before else { return }
        if let failure = machine.lastFailure {
            logger.warning("usage is not delivered", metadata: ["reason": "\(failure)"])
        } else {
            logger.notice("usage is delivered again")
        }
    }
}
