public import Effects
public import UsageRecord

/// The meter with a memory: gives closed spans their identity, makes them durable, and takes up after a crash.
///
/// Owned by one thread, which gives it ticks and asks it for records to deliver. On start, what the last checkpoint holds
/// is closed as records of the old epoch, and the new epoch begins, all in one append: a crash in between leaves either
/// nothing or everything of it, so no identity is ever used twice. The time from the checkpoint to the first tick becomes a
/// gap with cause agent_down in the new epoch, or clock_unsure when the machine was restarted in between.
public struct Recorder<Directory: DurableDirectory>: Sendable {
    /// What a tick led to.
    public struct Outcome: Sendable, Equatable {
        /// Records that are durable now; the delivery may be told.
        public var appended = 0
        /// Why something that is due is not durable; it is kept and tried again.
        public var failure: SpoolError?
    }

    /// The agent start, 32 hexadecimal digits.
    public let epoch: UsageRecord.Epoch
    private let podUID: String
    private let maximumPending: Int
    private var meter: Meter
    private var spool: Spool<Directory>
    private var pending: [ClosedSpan] = []
    private var lost: [SpoolState.LostSpan] = []
    private let resuming: OpenIntervals?
    private var hasBegun = false

    /// Spans that could not be stored and became gaps with cause disk_full, since start.
    public private(set) var lostSpans: UInt64 = 0
    /// Records replaced by a gap with cause quarantined because they were refused alone, since start.
    public private(set) var quarantinedRecords: UInt64 = 0
    /// Records that the control plane's ledger refused, since start.
    public private(set) var rejectedRecords: UInt64 = 0

    /// Opens the spool and completes what the last agent left open.
    ///
    /// - Parameters:
    ///   - bootID: `/proc/sys/kernel/random/boot_id`.
    ///   - maximumPending: closed spans that wait in memory while the disk refuses; more become gaps.
    /// - Throws: when the disk cannot be read. One that cannot be written is no reason not to start: time is metered, and
    ///   what does not fit into memory becomes gaps with cause disk_full.
    public init(
        directory: Directory, podUID: String, bootID: String, random: some RandomSource = SystemRandomSource(),
        configuration: MeterConfiguration = .init(), limits: SpoolLimits = .init(), maximumPending: Int = 512
    ) throws(SpoolError) {
        spool = try Spool(directory: directory, limits: limits)
        epoch = Segment.epoch(random.bytes(16))
        self.podUID = podUID
        self.maximumPending = maximumPending
        let old = spool.state
        // Another pod's time is not continued: its records are delivered, its gap is not ours to declare.
        resuming = old.podUID == podUID ? old.open?.waiting() : nil
        meter = Meter(configuration: configuration, bootID: bootID, resuming: resuming)
        try? begin()
    }

    /// Closes the old epoch at its last checkpoint and begins the new one.
    private mutating func begin() throws(SpoolError) {
        guard !hasBegun else { return }
        let old = spool.state
        let closing = old.lost.map(\.span) + (old.open?.closed() ?? [])
        let records = closing.enumerated().map { index, span in
            Self.record(span, old.podUID, old.epoch, old.nextSeq + UInt64(index))
        }
        let totals = old.podUID == podUID ? old.totals : nil
        var new = SpoolState(
            podUID: podUID, epoch: epoch, open: resuming, acknowledged: old.acknowledged, totals: totals)
        if old.podUID == podUID { new.count(closing) }
        do { try spool.append(records, state: new) } catch SpoolError.full {
            // No room for the closing records: their time waits as gaps of the new epoch.
            var missing: [SpoolState.LostSpan] = []
            var count: UInt64 = 0
            if old.podUID == podUID { Self.merge(closing, into: &missing, &count) }
            new.lost = missing
            new.totals = totals
            try spool.append([], state: new)
            lost = missing + lost
            lostSpans += count
        }
        hasBegun = true
    }

    private static func record(
        _ span: ClosedSpan, _ podUID: String, _ epoch: UsageRecord.Epoch, _ seq: UInt64
    ) -> StoredRecord {
        let record = UsageRecord(
            podUID: podUID, epoch: epoch, seq: seq, gpuUUID: span.gpuUUID, bootID: span.bootID,
            startMilliseconds: span.startMilliseconds, endMilliseconds: span.endMilliseconds,
            endRealtimeMilliseconds: span.endRealtimeMilliseconds, content: span.content)
        return StoredRecord(epoch: epoch, seq: seq, bytes: CloudEvent.encode(record))
    }

    // MARK: Metering

    /// Meters one look at the devices; writes when an interval closed or a checkpoint is due.
    public mutating func tick(_ tick: MeterTick) -> Outcome { take(meter.tick(tick)) }

    /// Closes and stores everything up to the last tick: for an orderly stop.
    public mutating func close() -> Outcome { take(meter.close()) }

    private mutating func take(_ actions: [MeterAction]) -> Outcome {
        for case .append(let span) in actions { pending.append(span) }
        guard !actions.isEmpty else { return Outcome() }
        return flush()
    }

    private mutating func flush() -> Outcome {
        do { try begin() } catch {
            limitPending()
            return Outcome(failure: error)
        }
        let spans = lost.map(\.span) + pending
        let next = spool.state.nextSeq
        let records = spans.enumerated().map { Self.record($1, podUID, epoch, next + UInt64($0)) }
        var new = spool.state
        new.nextSeq += UInt64(records.count)
        new.open = meter.open
        new.lost = []
        new.count(spans)
        do {
            try spool.append(records, state: new)
            lost = []
            pending = []
            return Outcome(appended: records.count)
        } catch {
            limitPending()
            if case .full = error { rememberLost() }
            return Outcome(failure: error)
        }
    }

    private mutating func limitPending() {
        guard pending.count > maximumPending else { return }
        Self.merge(pending, into: &lost, &lostSpans)
        pending = []
    }

    /// The limit is reached, but the disk has room for a checkpoint, which then says what is missing.
    private mutating func rememberLost() {
        var missing = lost
        var ignored: UInt64 = 0
        Self.merge(pending, into: &missing, &ignored)
        var state = spool.state
        state.open = meter.open
        state.lost = missing
        try? spool.append([], state: state)
    }

    private static func merge(_ spans: [ClosedSpan], into lost: inout [SpoolState.LostSpan], _ count: inout UInt64) {
        for span in spans {
            count += 1
            // Contiguous per device, so one entry per device and boot says it all.
            if let index = lost.firstIndex(where: {
                $0.gpuUUID == span.gpuUUID && $0.bootID == span.bootID && $0.endMilliseconds == span.startMilliseconds
            }) {
                lost[index].endMilliseconds = span.endMilliseconds
                lost[index].endRealtimeMilliseconds = span.endRealtimeMilliseconds
            } else {
                lost.append(
                    .init(
                        gpuUUID: span.gpuUUID, bootID: span.bootID, startMilliseconds: span.startMilliseconds,
                        endMilliseconds: span.endMilliseconds, endRealtimeMilliseconds: span.endRealtimeMilliseconds))
            }
        }
    }

    // MARK: Delivery

    /// The oldest records that are not delivered, for ``DeliveryMachine``'s `load`. Damage found on the way is set aside.
    public mutating func load(maximumEvents: Int, maximumBytes: Int) throws(SpoolError) -> [StoredRecord] {
        do {
            return try spool.load(maximumEvents: maximumEvents, maximumBytes: maximumBytes)
        } catch SpoolError.damaged {
            try spool.reopen()
            return try spool.load(maximumEvents: maximumEvents, maximumBytes: maximumBytes)
        }
    }

    /// For ``DeliveryMachine``'s `deleteThrough`.
    public mutating func deleteThrough(_ epoch: UsageRecord.Epoch, _ seq: UInt64) throws(SpoolError) {
        try spool.acknowledge(epoch, through: seq)
    }

    /// For ``DeliveryMachine``'s `quarantine`.
    public mutating func quarantine(_ epoch: UsageRecord.Epoch, _ seq: UInt64, reason: String) throws(SpoolError) {
        if try spool.quarantine(epoch, seq, reason: reason) { quarantinedRecords += 1 }
    }

    /// For ``DeliveryMachine``'s `keepRejected`; before the records are deleted.
    public mutating func keepRejected(_ rejections: [Acknowledgement.Rejection]) {
        rejectedRecords += UInt64(rejections.count)
        spool.keepRejected(rejections)
    }

    // MARK: Status

    /// Records that wait for delivery.
    public var waiting: UInt64 { spool.count }
    /// Sums of this pod's records by GPU.
    public var totals: [String: UsageTotals] { spool.state.totals ?? [:] }
    /// Bytes of the spool's segments.
    public var spoolBytes: Int { spool.bytes }
    /// What opening the spool found.
    public var recovery: Spool<Directory>.Recovery { spool.recovery }
    /// The last state, the checkpoint and the cursors; durable when ``isSettled``.
    public var state: SpoolState { spool.state }
    /// False while the disk refuses to make durable what an earlier process left.
    public var isSettled: Bool { spool.isSettled }
}
