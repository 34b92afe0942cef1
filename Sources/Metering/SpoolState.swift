import FoundationEssentials
public import UsageRecord

/// What the spool knows besides its records; written with every group of records, so that both become durable together.
///
/// It is a frame of the segment and not a file of its own: one write and one sync make records and checkpoint durable at
/// the same moment, a crash leaves both or neither, and a checkpoint can never be older than the records beside it.
public struct SpoolState: Sendable, Equatable, Codable {
    /// The pod whose time this is.
    public var podUID: String
    /// The agent start that wrote this; empty before the first.
    public var epoch: UsageRecord.Epoch
    /// The sequence number of the epoch's next record.
    public var nextSeq: UInt64
    /// The open intervals; nil before the first tick.
    public var open: OpenIntervals?
    /// Closed spans that did not fit into the spool: they become gaps with cause disk_full.
    public var lost: [LostSpan]
    /// Per epoch, through which record the control plane has everything: the cursor.
    public var acknowledged: [UsageRecord.Epoch: UInt64]
    /// Sums of this pod's records by GPU; nil in a spool that an earlier version wrote.
    public var totals: [String: UsageTotals]?

    /// Time that was metered and could not be stored.
    public struct LostSpan: Sendable, Equatable, Codable {
        /// NVML's UUID.
        public var gpuUUID: String
        /// Whose CLOCK_BOOTTIME it is.
        public var bootID: String
        /// Start, inclusive, milliseconds.
        public var startMilliseconds: UInt64
        /// End, exclusive, milliseconds.
        public var endMilliseconds: UInt64
        /// Wall label of the end.
        public var endRealtimeMilliseconds: Int64

        var span: ClosedSpan {
            ClosedSpan(
                gpuUUID: gpuUUID, bootID: bootID, startMilliseconds: startMilliseconds,
                endMilliseconds: endMilliseconds,
                endRealtimeMilliseconds: endRealtimeMilliseconds, content: .gap(.diskFull))
        }
    }

    /// Makes a state.
    public init(
        podUID: String = "", epoch: UsageRecord.Epoch = "", nextSeq: UInt64 = 0, open: OpenIntervals? = nil,
        lost: [LostSpan] = [], acknowledged: [UsageRecord.Epoch: UInt64] = [:],
        totals: [String: UsageTotals]? = nil
    ) {
        self.podUID = podUID
        self.epoch = epoch
        self.nextSeq = nextSeq
        self.open = open
        self.lost = lost
        self.acknowledged = acknowledged
        self.totals = totals
    }

    mutating func count(_ spans: [ClosedSpan]) {
        var sums = totals ?? [:]
        for span in spans { sums[span.gpuUUID, default: UsageTotals()].add(span) }
        totals = sums
    }

    func isAcknowledged(_ epoch: UsageRecord.Epoch, _ seq: UInt64) -> Bool {
        acknowledged[epoch].map { seq <= $0 } ?? false
    }

    var bytes: [UInt8] {
        // Strings and integers only: encoding cannot fail.
        (try? JSONEncoder().encode(self)).map(Array.init) ?? []
    }

    init?(bytes: some Collection<UInt8>) {
        guard let state = try? JSONDecoder().decode(SpoolState.self, from: Data(bytes)) else { return nil }
        self = state
    }
}
