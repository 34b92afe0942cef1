import FoundationEssentials
public import UsageRecord

/// Deduplication and accounting of usage records: what to keep, what to refuse, and how far everything is durable.
///
/// The ledger does no I/O. It reads a batch into ``Event``s, and judges them against a ``LedgerStore``, which the caller
/// makes durable as a whole before it answers: a database transaction in the control plane, a value in the simulation.
/// Its rules:
/// - the key is (pod, epoch, seq); the same key with the same bytes is a duplicate, with other bytes a conflict;
/// - a stored record is never replaced, and a refusal is remembered, so that sending either again changes nothing;
/// - a record belongs to the pod that sent it;
/// - spans of one (pod, boot, GPU) never overlap, whatever their epoch, so that no time is counted twice.
public enum Ledger {
    /// The greatest number in a record that is kept, so that a signed 64-bit column holds it.
    public static let maximumNumber = UInt64(Int64.max)

    /// The most GPUs and MIG instances of one pod, over its whole life.
    public static let maximumGPUs = 1024

    /// Reads a batch.
    ///
    /// - Throws: ``BatchRefusal`` when the body is not a batch, or an element has no readable epoch and seq: then nobody
    ///   could be told which record was refused.
    public static func read(batch body: [UInt8]) throws(BatchRefusal) -> [Event] {
        let elements: [ArraySlice<UInt8>]
        do { elements = try Batch.split(body) } catch { throw .malformed(error.description) }
        var events: [Event] = []
        events.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            let bytes = Array(element)
            let record: Result<UsageRecord, RecordError>
            let key: Event.Key
            do throws(RecordError) {
                let decoded = try CloudEvent.decode(bytes)
                record = .success(decoded)
                key = Event.Key(epoch: decoded.epoch, seq: decoded.seq)
            } catch {
                guard let readable = Event.Key(ofMalformed: bytes) else {
                    throw .malformed("element \(index) of the batch has no readable epoch and seq: \(error)")
                }
                record = .failure(error)
                key = readable
            }
            guard key.seq <= maximumNumber else {
                throw .malformed("element \(index) of the batch has a seq above \(maximumNumber)")
            }
            events.append(Event(key: key, bytes: bytes, sha256: Batch.digest(bytes), record: record))
        }
        return events
    }

    /// Judges one event that an authenticated pod sent, against what is stored.
    public static func judge<Store: LedgerStore>(
        _ event: Event, from pod: String, in store: Store
    ) throws(Store.Failure) -> Decision {
        if let known = try store.entry(pod: pod, key: event.key) {
            guard known.sha256 == event.sha256 else { return .reject(.conflict) }
            return known.refusal.map(Decision.reject) ?? .duplicate
        }
        let record: UsageRecord
        switch event.record {
        case .success(let decoded): record = decoded
        case .failure(let error): return .reject(.malformed(error.description))
        }
        guard record.podUID == pod else { return .reject(.foreignPod) }
        guard Account.isInRange(record) else { return .reject(.outOfRange) }
        if try store.hasOverlap(with: record) { return .reject(.overlap) }
        let account = try store.account(pod: pod, gpu: record.gpuUUID)
        if account == nil, try store.gpuCount(pod: pod) >= maximumGPUs { return .reject(.tooManyGPUs) }
        guard let total = (account ?? Account()).adding(record) else { return .reject(.overflow) }
        return .accept(record, total)
    }

    /// Judges a batch in its order, and puts into the store what the decisions ask for.
    ///
    /// Nothing may be answered before the store is durable; if this throws, the store must be rolled back.
    public static func apply<Store: LedgerStore>(
        _ events: [Event], from pod: String, to store: inout Store
    ) throws(Store.Failure) -> Outcome {
        var outcome = Outcome()
        var epochs: [UsageRecord.Epoch] = []
        for event in events {
            if !epochs.contains(event.key.epoch) { epochs.append(event.key.epoch) }
            switch try judge(event, from: pod, in: store) {
            case .accept(let record, let account):
                try store.insert(event, record: record, account: account)
                outcome.accepted += 1
            case .duplicate: outcome.duplicates += 1
            case .reject(let refusal):
                if refusal == .conflict {
                    try store.noteConflict(event, from: pod)
                } else {
                    try store.remember(refusal, of: event, from: pod)
                }
                outcome.rejected.append(
                    .init(epoch: event.key.epoch, seq: event.key.seq, reason: refusal.description))
            }
        }
        for epoch in epochs {
            if let through = try advanceMark(pod: pod, epoch: epoch, in: &store) {
                outcome.durable.append(.init(epoch: epoch, throughSeq: through))
            }
        }
        return outcome
    }

    // The mark moves over every key that is stored or refused for good, and stops at the first hole.
    private static func advanceMark<Store: LedgerStore>(
        pod: String, epoch: UsageRecord.Epoch, in store: inout Store
    ) throws(Store.Failure) -> UInt64? {
        let before = try store.mark(pod: pod, epoch: epoch)
        var through = before
        while through != maximumNumber {
            let next = through.map { $0 + 1 } ?? 0
            guard try store.entry(pod: pod, key: .init(epoch: epoch, seq: next)) != nil else { break }
            through = next
        }
        if let through, through != before { try store.setMark(pod: pod, epoch: epoch, through: through) }
        return through
    }
}

/// What is to be done with an event.
public enum Decision: Sendable, Equatable {
    /// Keep it; the GPU's account is then this.
    case accept(UsageRecord, Account)
    /// It is kept already.
    case duplicate
    /// Refuse it for good.
    case reject(Refusal)
}

/// Why an event is refused for good.
public enum Refusal: Sendable, Hashable, CustomStringConvertible {
    /// Its key was used before with other bytes.
    case conflict
    /// It names another pod than the one that sent it.
    case foreignPod
    /// Its span overlaps one that is kept of the same pod, boot and GPU.
    case overlap
    /// A number in it is larger than ``Ledger/maximumNumber``.
    case outOfRange
    /// The account of its GPU would overflow.
    case overflow
    /// The pod has ``Ledger/maximumGPUs`` GPUs already.
    case tooManyGPUs
    /// It is not a usage event; the text names the rule it breaks.
    case malformed(String)

    /// A word for programs, with the broken rule of a malformed event behind it.
    public var description: String {
        switch self {
        case .conflict: "conflict"
        case .foreignPod: "foreign_pod"
        case .overlap: "overlap"
        case .outOfRange: "out_of_range"
        case .overflow: "overflow"
        case .tooManyGPUs: "too_many_gpus"
        case .malformed(let rule): "malformed: \(rule)"
        }
    }

    /// Reads ``description`` back, as a store needs it.
    public init?(_ description: String) {
        let prefix = "malformed: "
        switch description {
        case "conflict": self = .conflict
        case "foreign_pod": self = .foreignPod
        case "overlap": self = .overlap
        case "out_of_range": self = .outOfRange
        case "overflow": self = .overflow
        case "too_many_gpus": self = .tooManyGPUs
        case _ where description.hasPrefix(prefix): self = .malformed(String(description.dropFirst(prefix.count)))
        default: return nil
        }
    }
}

/// A batch of which nothing is kept.
public enum BatchRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    /// It cannot be read; sending it again will not help.
    case malformed(String)
    /// The answer would be larger than a client reads: send fewer events.
    case answerTooLarge

    /// What is wrong, and what to do.
    public var description: String {
        switch self {
        case .malformed(let rule): rule
        case .answerTooLarge:
            "the answer to this batch would exceed \(Acknowledgement.maximumBytes) bytes: send fewer events at once"
        }
    }
}

/// What became of a batch.
public struct Outcome: Sendable, Equatable {
    /// Records kept that were not there before.
    public var accepted = 0
    /// Records that were there already.
    public var duplicates = 0
    /// Events refused.
    public var rejected: [Acknowledgement.Rejection] = []
    /// The mark of each epoch in the batch that has one.
    public var durable: [Acknowledgement.Durable] = []

    /// Makes an empty outcome.
    public init() {}

    /// The answer to the batch with this body.
    ///
    /// - Throws: ``BatchRefusal/answerTooLarge`` when a client would not read it; then the store must be rolled back.
    public func acknowledgement(of body: [UInt8]) throws(BatchRefusal) -> Acknowledgement {
        let answer = Acknowledgement(sha256: Batch.digest(body), durable: durable, rejected: rejected)
        guard let bytes = try? JSONEncoder().encode(answer), bytes.count <= Acknowledgement.maximumBytes else {
            throw .answerTooLarge
        }
        return answer
    }
}
