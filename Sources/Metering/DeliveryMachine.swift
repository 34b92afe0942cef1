public import Effects
public import UsageRecord

/// What happens to the delivery.
public enum DeliveryEvent: Sendable, Equatable {
    /// Records became durable.
    case recordsAvailable
    /// The answer to ``DeliveryAction/load(maximumEvents:maximumBytes:)``: the oldest records, empty when there are none.
    case loaded([StoredRecord])
    /// The spool could not be read, or an action before the `load` could not be done.
    case loadFailed
    /// An HTTP answer came; `body` may be cut after ``Acknowledgement/maximumBytes`` + 1 bytes.
    case responded(status: Int, retryAfter: String?, body: [UInt8])
    /// No answer: time-out, reset, DNS, TLS, ...
    case transportFailed(reason: String)
    /// The time asked for by ``DeliveryAction/wait(milliseconds:)`` is over.
    case timer
    /// Another token was read.
    case tokenChanged
    /// Send what can be sent without waiting, then be done.
    case stop
}

/// What the shell around the delivery must do, in order. `load` and `send` are answered by an event; nothing else is.
public enum DeliveryAction: Sendable, Equatable {
    /// Read the oldest records; answer with ``DeliveryEvent/loaded(_:)``.
    case load(maximumEvents: Int, maximumBytes: Int)
    /// POST the body; redirects must not be followed. `digest` is the SHA-256 that the answer must echo.
    case send(body: [UInt8], digest: String)
    /// Everything of the epoch through this record is at the control plane, or resolved otherwise.
    case deleteThrough(epoch: UsageRecord.Epoch, seq: UInt64)
    /// The ledger refused these for good: keep their bytes as dead letters, before they are deleted.
    case keepRejected([Acknowledgement.Rejection])
    /// The record is refused even alone: set it aside and put a gap of the same identity in its place.
    case quarantine(epoch: UsageRecord.Epoch, seq: UInt64, reason: String)
    /// Read the token file again; answer with ``DeliveryEvent/tokenChanged`` if it is another one.
    case refreshToken
    /// Send ``DeliveryEvent/timer`` after this time; replaces an earlier wait.
    case wait(milliseconds: UInt64)
    /// After ``DeliveryEvent/stop``: nothing more will be asked for.
    case done
}

/// Brings records to the control plane: one request in flight, oldest first, resent as the same bytes until acknowledged.
///
/// A record is given up only on an answer that parses, echoes the digest of what was sent and covers the record's epoch, or
/// that refuses the record by name. Everything else keeps it, however long it takes.
public struct DeliveryMachine<Random: RandomSource>: Sendable {
    private enum State: Sendable {
        case idle
        case loading
        case sending(Request)
        case waiting
        case done
    }

    private struct Request: Sendable {
        var records: [Identity]
        var digest: String
        /// An empty batch: asks whether it is the control plane that refuses, or something before it.
        var probe: Suspect?
    }

    private struct Identity: Sendable {
        var epoch: UsageRecord.Epoch
        var seq: UInt64
        var isQuarantineGap: Bool
    }

    private struct Suspect: Sendable {
        var record: Identity
        var reason: String
    }

    private let random: Random
    private var state = State.idle
    private var backoff = Backoff()
    private var limit = Batch.maximumEvents
    private var isStopping = false
    private var hasMore = false
    private var lastTokenRefresh: UInt64?

    /// Milliseconds of CLOCK_BOOTTIME of the last valid acknowledgement; nil before the first.
    public private(set) var lastAcknowledgement: UInt64?
    /// Answers in a row that brought nothing.
    public var failures: Int { backoff.attempts }
    /// Why the last attempt brought nothing; nil after one that did.
    public private(set) var lastFailure: String?

    static var standstill: UInt64 { 300_000 }
    static var tokenInterval: UInt64 { 60_000 }

    /// Makes an idle machine.
    public init(random: Random) { self.random = random }

    /// The next actions.
    ///
    /// - Parameters:
    ///   - now: CLOCK_BOOTTIME in milliseconds.
    ///   - realtime: CLOCK_REALTIME in milliseconds since 1970 UTC, for Retry-After dates.
    public mutating func handle(_ event: DeliveryEvent, now: UInt64, realtime: Int64) -> [DeliveryAction] {
        switch (event, state) {
        case (_, .done): return []
        case (.stop, _):
            isStopping = true
            // What is in flight is answered first; a wait is cut short by one last attempt.
            if case .loading = state { return [] }
            if case .sending = state { return [] }
            return load()
        case (.recordsAvailable, .idle): return load()
        case (.recordsAvailable, _):
            hasMore = true
            return []
        case (.loaded(let records), .loading): return send(records)
        case (.loadFailed, .loading):
            return fail("the usage spool cannot be read", backoff.next(random))
        case (.responded(let status, let retryAfter, let body), .sending(let request)):
            let asked = retryAfter.flatMap { RetryAfter.milliseconds($0, now: realtime) }
            return answer(request, status, asked, body, now)
        case (.transportFailed(let reason), .sending): return fail(reason, backoff.next(random))
        case (.timer, .waiting), (.tokenChanged, .waiting): return load()
        default: return []
        }
    }

    private mutating func load() -> [DeliveryAction] {
        state = .loading
        hasMore = false
        return [.load(maximumEvents: limit, maximumBytes: Batch.maximumBytes - 2 - limit)]
    }

    private mutating func send(_ records: [StoredRecord]) -> [DeliveryAction] {
        guard !records.isEmpty else {
            if hasMore { return load() }
            return rest()
        }
        let body = Batch.body(of: records.map(\.bytes))
        let identities = records.map {
            Identity(
                epoch: $0.epoch, seq: $0.seq, isQuarantineGap: records.count == 1 && Self.isQuarantineGap($0.bytes))
        }
        return send(body, .init(records: identities, digest: Batch.digest(body)))
    }

    private mutating func send(_ body: [UInt8], _ request: Request) -> [DeliveryAction] {
        state = .sending(request)
        return [.send(body: body, digest: request.digest)]
    }

    private static func isQuarantineGap(_ bytes: [UInt8]) -> Bool {
        (try? CloudEvent.decode(bytes))?.content == .gap(.quarantined)
    }

    private mutating func rest() -> [DeliveryAction] {
        state = isStopping ? .done : .idle
        return isStopping ? [.done] : []
    }

    private mutating func fail(_ reason: String, _ wait: UInt64) -> [DeliveryAction] {
        lastFailure = reason
        guard !isStopping else { return rest() }
        state = .waiting
        return [.wait(milliseconds: wait)]
    }

    // MARK: Answers

    private mutating func answer(
        _ request: Request, _ status: Int, _ retryAfter: UInt64?, _ body: [UInt8], _ now: UInt64
    ) -> [DeliveryAction] {
        switch status {
        case 200..<300:
            guard let acknowledgement = Acknowledgement.parse(body), acknowledgement.sha256 == request.digest else {
                return fail("HTTP \(status) without an acknowledgement of what was sent", backoff.next(random))
            }
            lastAcknowledgement = now
            if let suspect = request.probe { return convict(suspect) }
            return take(acknowledgement, request)
        case 400, 413, 422:
            if let suspect = request.probe {
                return fail("HTTP \(status) even for an empty batch, first \(suspect.reason)", Self.standstill)
            }
            return narrow(request, status)
        case 401, 403:
            backoffForToken()
            let reason = "HTTP \(status): the control plane does not accept the token"
            if let last = lastTokenRefresh, now < last + Self.tokenInterval {
                return fail(reason, last + Self.tokenInterval - now)
            }
            lastTokenRefresh = now
            let waiting = fail(reason, Self.tokenInterval)
            return isStopping ? waiting : [.refreshToken] + waiting
        case 408, 425, 429, 500..<600:
            let own = backoff.next(random)
            return fail("HTTP \(status)", retryAfter.map { Backoff.retryAfter($0, random) } ?? own)
        default:
            // 404, 405, 409, 410, redirects and whatever else is wrong in a way that time may heal.
            _ = backoff.next(random)
            return fail("HTTP \(status)", Self.standstill)
        }
    }

    private mutating func backoffForToken() { _ = backoff.next(random) }

    /// Records are resolved in order: through the epoch's mark, or refused by name.
    private mutating func take(_ acknowledgement: Acknowledgement, _ request: Request) -> [DeliveryAction] {
        var marks: [UsageRecord.Epoch: UInt64] = [:]
        for mark in acknowledgement.durable { marks[mark.epoch] = max(marks[mark.epoch] ?? 0, mark.throughSeq) }
        var rejected: [UsageRecord.Epoch: [UInt64: Acknowledgement.Rejection]] = [:]
        for rejection in acknowledgement.rejected { rejected[rejection.epoch, default: [:]][rejection.seq] = rejection }
        var through: [(epoch: UsageRecord.Epoch, seq: UInt64)] = []
        var refused: [Acknowledgement.Rejection] = []
        var blocked: Set<UsageRecord.Epoch> = []
        for record in request.records where !blocked.contains(record.epoch) {
            let rejection = rejected[record.epoch]?[record.seq]
            guard rejection != nil || marks[record.epoch].map({ record.seq <= $0 }) ?? false else {
                blocked.insert(record.epoch)
                continue
            }
            if let rejection { refused.append(rejection) }
            if let index = through.firstIndex(where: { $0.epoch == record.epoch }) {
                through[index].seq = record.seq
            } else {
                through.append((record.epoch, record.seq))
            }
        }
        guard !through.isEmpty else {
            return fail("the control plane acknowledged none of what was sent", backoff.next(random))
        }
        backoff.reset()
        lastFailure = nil
        limit = min(Batch.maximumEvents, limit * 2)
        var actions = refused.isEmpty ? [] : [DeliveryAction.keepRejected(refused)]
        actions += through.map { .deleteThrough(epoch: $0.epoch, seq: $0.seq) }
        return actions + load()
    }

    /// The batch is refused as a whole: halves, until the one record that is to blame stands alone.
    private mutating func narrow(_ request: Request, _ status: Int) -> [DeliveryAction] {
        let reason = "HTTP \(status)"
        guard request.records.count == 1, let record = request.records.first else {
            limit = max(1, request.records.count / 2)
            lastFailure = reason
            return load()
        }
        // Something in between may answer 400 to everything. Only a control plane that takes an empty batch is believed.
        let body = Batch.body(of: [])
        return send(
            body, .init(records: [], digest: Batch.digest(body), probe: .init(record: record, reason: reason)))
    }

    private mutating func convict(_ suspect: Suspect) -> [DeliveryAction] {
        let record = suspect.record
        if record.isQuarantineGap {
            // Even the gap is refused: nothing smaller can be said. It is kept, and tried again slowly.
            return fail("\(suspect.reason) for the gap \(record.epoch):\(record.seq)", Self.standstill)
        }
        lastFailure = "\(suspect.reason) for record \(record.epoch):\(record.seq)"
        return [.quarantine(epoch: record.epoch, seq: record.seq, reason: suspect.reason)] + load()
    }
}
