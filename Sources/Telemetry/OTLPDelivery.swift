import Metering

/// Decides what becomes of a batch of OTLP metrics: events in, decisions out, no network (opentelemetry-proto,
/// docs/specification.md, OTLP/HTTP).
///
/// One batch at a time. Telemetry is cumulative, so while one waits for its retry newer ones are left out, and after a
/// bounded time it is dropped: nothing is billed by it.
public struct OTLPDelivery: Sendable {
    /// What the receiver answered.
    public enum Answer: Sendable, Equatable {
        /// An HTTP status, the `Retry-After` header if there was one, and the body.
        case status(Int, retryAfter: String?, body: [UInt8])
        /// No connection, no answer, or it took too long.
        case unreachable(String)
    }

    /// What to do with the batch.
    public enum Decision: Sendable, Equatable {
        /// It arrived. The warning is the receiver's, if it had one.
        case delivered(warning: String?)
        /// It arrived; the receiver refused some points and must not get them again.
        case partlyRejected(points: Int64, reason: String)
        /// Send the same bytes again at this time (CLOCK_BOOTTIME milliseconds).
        case retry(at: UInt64)
        /// It is of no use to send it again.
        case dropped(reason: String)
    }

    /// The first pause in milliseconds; doubles up to `longestPause`.
    public var firstPause: UInt64 = 1000
    /// The longest pause of our own; the receiver may ask for a longer one.
    public var longestPause: UInt64 = 60_000
    /// After so many milliseconds a batch is dropped.
    public var giveUpAfter: UInt64 = 300_000

    private var pause: UInt64 = 0
    private var firstTry: UInt64?
    /// Batches dropped, and points that receivers refused.
    public private(set) var droppedBatches: UInt64 = 0
    /// Points that receivers refused.
    public private(set) var rejectedPoints: UInt64 = 0

    /// The defaults.
    public init() {}

    /// These may work later; every other error must not be tried again.
    public static let retryable: Set<Int> = [429, 502, 503, 504]

    /// Takes the answer to the batch into account.
    ///
    /// - Parameters:
    ///   - now: CLOCK_BOOTTIME in milliseconds.
    ///   - wall: seconds since 1970, for a `Retry-After` that is a date.
    ///   - jitter: random, 0 up to 1.
    public mutating func answered(_ answer: Answer, now: UInt64, wall: Int64, jitter: Double) -> Decision {
        let start = firstTry ?? now
        firstTry = start
        var asked: UInt64?
        switch answer {
        case .status(200..<300, _, let body):
            finish()
            return success(body)
        case .status(let status, let header, let body) where Self.retryable.contains(status):
            asked = header.flatMap { RetryAfter.milliseconds($0, now: wall &* 1000) }
            _ = body
        case .status(let status, _, _):
            finish()
            droppedBatches += 1
            return .dropped(reason: "the receiver answered \(status), which must not be tried again")
        case .unreachable: break
        }
        pause = pause == 0 ? firstPause : min(pause * 2, longestPause)
        // Half of the pause is random, so that many agents do not come at once.
        let own = pause / 2 + UInt64(Double(pause / 2) * min(max(jitter, 0), 1))
        let wait = max(own, asked ?? 0)
        guard now + wait < start + giveUpAfter else {
            finish()
            droppedBatches += 1
            return .dropped(reason: "the receiver did not take it for \((now - start) / 1000) s")
        }
        return .retry(at: now + wait)
    }

    private mutating func finish() {
        pause = 0
        firstTry = nil
    }

    /// `ExportMetricsServiceResponse`: an empty one is full success. Nonsense is a success too: the status says so.
    private mutating func success(_ body: [UInt8]) -> Decision {
        var reader = ProtobufReader(body[...])
        var (rejected, message): (Int64, String) = (0, "")
        while let (field, value) = reader.next() {
            guard field == 1, case .bytes(let inner) = value else { continue }
            var partial = ProtobufReader(inner)
            while let (field, value) = partial.next() {
                switch (field, value) {
                case (1, .number(let number)): rejected = Int64(bitPattern: number)
                case (2, .bytes(let text)): message = String(decoding: text.prefix(1024), as: UTF8.self)
                default: break
                }
            }
        }
        guard rejected > 0 else { return .delivered(warning: message.isEmpty ? nil : message) }
        // A receiver may say any number.
        rejectedPoints &+= UInt64(rejected)
        return .partlyRejected(points: rejected, reason: message)
    }
}
