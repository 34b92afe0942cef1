public import UsageRecord

/// A ledger whose store is a value: the simulation's control plane, and the model that other stores are tested against.
public struct InMemoryLedger: Sendable {
    /// What is stored.
    public private(set) var store = InMemoryLedgerStore()

    /// Makes an empty ledger.
    public init() {}

    /// Receives a batch of an authenticated pod.
    ///
    /// - Throws: ``BatchRefusal``; then nothing of the batch is kept.
    public mutating func receive(batch body: [UInt8], pod: String) throws(BatchRefusal) -> Acknowledgement {
        let events = try Ledger.read(batch: body)
        var changed = store
        let answer = try Ledger.apply(events, from: pod, to: &changed).acknowledgement(of: body)
        store = changed
        return answer
    }

    /// The account of a GPU, if it has one.
    public func account(pod: String, gpu: String) -> Account? { store.account(pod: pod, gpu: gpu) }

    /// Every kept record of a pod, by key.
    public func records(ofPod pod: String) -> [Event.Key: UsageRecord] {
        (store.pods[pod]?.kept ?? [:]).mapValues(\.record)
    }

    /// How far an epoch is durable.
    public func mark(pod: String, epoch: UsageRecord.Epoch) -> UInt64? { store.mark(pod: pod, epoch: epoch) }
}

/// ``LedgerStore`` in memory.
public struct InMemoryLedgerStore: Sendable, LedgerStore {
    struct Pod: Sendable {
        struct Kept: Sendable {
            var sha256: String
            var bytes: [UInt8]
            var record: UsageRecord
        }
        struct Clock: Sendable, Hashable {
            var bootID: String
            var gpuUUID: String
        }
        var kept: [Event.Key: Kept] = [:]
        var refused: [Event.Key: LedgerEntry] = [:]
        // Spans in the order of their starts; they do not overlap, so their ends are in order too.
        var spans: [Clock: [Range<UInt64>]] = [:]
        var accounts: [String: Account] = [:]
        var marks: [UsageRecord.Epoch: UInt64] = [:]
        var conflicts = 0
    }

    var pods: [String: Pod] = [:]

    /// Makes an empty store.
    public init() {}

    /// How many events used a key of the pod again with other bytes.
    public func conflicts(pod: String) -> Int { pods[pod]?.conflicts ?? 0 }

    /// See ``LedgerStore``.
    public func entry(pod: String, key: Event.Key) -> LedgerEntry? {
        guard let pod = pods[pod] else { return nil }
        return pod.kept[key].map { LedgerEntry(sha256: $0.sha256) } ?? pod.refused[key]
    }

    /// See ``LedgerStore``.
    public func hasOverlap(with record: UsageRecord) -> Bool {
        let clock = Pod.Clock(bootID: record.bootID, gpuUUID: record.gpuUUID)
        guard let spans = pods[record.podUID]?.spans[clock] else { return false }
        let next = Self.position(of: record.endMilliseconds, in: spans)
        return next > 0 && spans[next - 1].upperBound > record.startMilliseconds
    }

    /// See ``LedgerStore``.
    public func account(pod: String, gpu: String) -> Account? { pods[pod]?.accounts[gpu] }

    /// See ``LedgerStore``.
    public func gpuCount(pod: String) -> Int { pods[pod]?.accounts.count ?? 0 }

    /// See ``LedgerStore``.
    public func mark(pod: String, epoch: UsageRecord.Epoch) -> UInt64? { pods[pod]?.marks[epoch] }

    /// See ``LedgerStore``.
    public mutating func insert(_ event: Event, record: UsageRecord, account: Account) {
        let clock = Pod.Clock(bootID: record.bootID, gpuUUID: record.gpuUUID)
        var spans = pods[record.podUID]?.spans[clock] ?? []
        spans.insert(
            record.startMilliseconds..<record.endMilliseconds, at: Self.position(of: record.endMilliseconds, in: spans))
        pods[record.podUID, default: Pod()].spans[clock] = spans
        pods[record.podUID, default: Pod()].accounts[record.gpuUUID] = account
        pods[record.podUID, default: Pod()].kept[event.key] = .init(
            sha256: event.sha256, bytes: event.bytes, record: record)
    }

    /// See ``LedgerStore``.
    public mutating func remember(_ refusal: Refusal, of event: Event, from pod: String) {
        guard entry(pod: pod, key: event.key) == nil else { return }
        pods[pod, default: Pod()].refused[event.key] = .init(sha256: event.sha256, refusal: refusal)
    }

    /// See ``LedgerStore``.
    public mutating func noteConflict(_ event: Event, from pod: String) {
        pods[pod, default: Pod()].conflicts += 1
    }

    /// See ``LedgerStore``.
    public mutating func setMark(pod: String, epoch: UsageRecord.Epoch, through: UInt64) {
        pods[pod, default: Pod()].marks[epoch] = through
    }

    // How many spans start before this instant.
    private static func position(of instant: UInt64, in spans: [Range<UInt64>]) -> Int {
        var low = 0
        var high = spans.count
        while low < high {
            let middle = (low + high) / 2
            if spans[middle].lowerBound < instant { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
