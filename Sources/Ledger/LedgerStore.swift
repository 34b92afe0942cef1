public import UsageRecord

/// What a store knows of a key.
public struct LedgerEntry: Sendable, Equatable {
    /// SHA-256 of the event's bytes, 64 lower-case hexadecimal digits.
    public var sha256: String
    /// Why it was refused; nil when it is kept.
    public var refusal: Refusal?

    /// Makes an entry.
    public init(sha256: String, refusal: Refusal? = nil) {
        self.sha256 = sha256
        self.refusal = refusal
    }
}

/// Where the ledger's decisions are kept. Everything put in while a batch is judged is visible to the lookups at once,
/// and becomes durable as a whole or not at all.
public protocol LedgerStore {
    /// What the store can fail with; `Never` in memory.
    associatedtype Failure: Error

    /// What is known of a key of the pod: a kept record or a remembered refusal.
    func entry(pod: String, key: Event.Key) throws(Failure) -> LedgerEntry?
    /// Whether a kept record of the same pod, boot and GPU has a span that overlaps this record's.
    func hasOverlap(with record: UsageRecord) throws(Failure) -> Bool
    /// The account of a GPU, if it has one.
    func account(pod: String, gpu: String) throws(Failure) -> Account?
    /// How many GPUs of a pod have an account.
    func gpuCount(pod: String) throws(Failure) -> Int
    /// The high-water mark of an epoch, if it has one.
    func mark(pod: String, epoch: UsageRecord.Epoch) throws(Failure) -> UInt64?

    /// Keeps an event and sets its GPU's account.
    mutating func insert(_ event: Event, record: UsageRecord, account: Account) throws(Failure)
    /// Remembers a refusal; one that is known already stays as it is.
    mutating func remember(_ refusal: Refusal, of event: Event, from pod: String) throws(Failure)
    /// Takes note of an event whose key was used before with other bytes; the first stays as it is.
    mutating func noteConflict(_ event: Event, from pod: String) throws(Failure)
    /// Moves a high-water mark forward.
    mutating func setMark(pod: String, epoch: UsageRecord.Epoch, through: UInt64) throws(Failure)
}
