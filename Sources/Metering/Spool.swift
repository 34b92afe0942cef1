public import Effects
import Glibc
public import UsageRecord

/// Why the spool did not do what was asked.
public enum SpoolError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The configured limit is reached: the records were not taken.
    case full(limit: Int)
    /// The disk refused; what was asked for is not durable and may be asked for again.
    case disk(DiskError)
    /// A segment cannot be read any more: ``Spool/reopen()`` sets the damage aside.
    case damaged(segment: String)

    /// One line for a log.
    public var description: String {
        switch self {
        case .full(let limit):
            "the usage spool holds its limit of \(limit) bytes; records are kept as declared gaps until the control plane "
                + "acknowledges some"
        case .disk(let error): "the usage spool cannot be written: \(error); free or repair the disk of its directory"
        case .damaged(let segment): "segment \(segment) of the usage spool is damaged"
        }
    }
}

/// Sizes of a spool in bytes.
public struct SpoolLimits: Sendable, Equatable {
    /// When a segment is this large, the next one is begun. Small, because a segment is read as a whole.
    public var segmentBytes = 256 << 10
    /// The most that waits for delivery.
    public var totalBytes = 64 << 20
    /// The most that is kept of damaged and refused bytes.
    public var quarantineBytes = 4 << 20

    /// The defaults.
    public init() {}
}

/// Records on disk that wait for delivery: append-only segments with a checkpoint and a cursor inside.
///
/// ``append(_:state:)`` returns after the records are durable: the file is synced, and so is the directory when the file is
/// new. Records and state of one append are durable together or not at all. Nothing is removed before the cursor that
/// covers it is durable. A file whose sync failed is never written or synced again: what was being appended goes, when asked
/// for again, to a new file. One writer only; the caller holds the directory's lock.
public struct Spool<Directory: DurableDirectory>: Sendable {
    struct Run: Sendable, Equatable {
        var epoch: UsageRecord.Epoch
        var first: UInt64
        var last: UInt64
    }

    struct SegmentFile: Sendable, Equatable {
        var number: UInt64
        /// Bytes that are valid; the file may be longer when an append failed.
        var bytes: Int
        /// What it holds: one run per epoch and stretch without holes, not one entry per record.
        var runs: [Run]
        var start: Run
        var name: String { Segment.name(number) }

        mutating func add(_ epoch: UsageRecord.Epoch, _ seq: UInt64) {
            if let last = runs.indices.last, runs[last].epoch == epoch, runs[last].last &+ 1 == seq {
                runs[last].last = seq
            } else {
                runs.append(.init(epoch: epoch, first: seq, last: seq))
            }
        }
    }

    /// What was found and done while opening.
    public struct Recovery: Sendable, Equatable {
        /// Bytes of an append that a crash cut off; none of it had been reported durable.
        public var tornBytes = 0
        /// Segments in which stored bytes had gone bad.
        public var damagedSegments = 0
        /// Records that were gone and were replaced by gaps with cause quarantined.
        public var replacedRecords: UInt64 = 0
        /// Segments of a version that this program does not know; set aside unread.
        public var unknownVersions = 0

        /// Nothing found.
        public init() {}
    }

    let directory: Directory
    let limits: SpoolLimits
    var segments: [SegmentFile] = []
    var nextNumber: UInt64 = 1
    // False when the last segment must not be appended to.
    var isActive = false
    /// False while what was found when opening may still be lost in a power cut, because the disk could not be written since:
    /// nothing is sent or added before it is safe.
    public internal(set) var isSettled = false
    // Numbers of segments of another version.
    var unknown: [UInt64] = []
    // Numbers of segments without a complete append.
    var discarded: [UInt64] = []
    // True while a removal or a new name may still be undone by a crash.
    var isDirectoryDirty = false
    var quarantined: [(name: String, bytes: Int)] = []

    /// The last state; durable when ``isSettled``.
    public internal(set) var state = SpoolState()
    /// What opening found.
    public internal(set) var recovery = Recovery()

    /// Opens a spool, sets damage aside and completes what a crash interrupted. Doing it again changes nothing.
    ///
    /// When the disk can be read but not written, the spool opens with what it holds; everything that needs the disk throws
    /// until it can be written again.
    ///
    /// - Throws: ``SpoolError/disk(_:)`` only when the disk cannot be read; damaged contents never stop it.
    public init(directory: Directory, limits: SpoolLimits = .init()) throws(SpoolError) {
        self.directory = directory
        self.limits = limits
        do { try recover() } catch  where Self.isReadError(error) { throw .disk(error) } catch {}
    }

    private static func isReadError(_ error: DiskError) -> Bool { ["list", "read", "open"].contains(error.operation) }

    /// Reads everything again, setting damage aside.
    public mutating func reopen() throws(SpoolError) {
        do { try recover() } catch { throw .disk(error) }
    }

    private mutating func ensureSettled() throws(SpoolError) {
        if !isSettled { try reopen() }
    }

    /// Bytes in segments.
    public var bytes: Int { segments.reduce(0) { $0 + $1.bytes } }

    /// Records that are not acknowledged.
    public var count: UInt64 {
        segments.reduce(0) { $0 + $1.runs.reduce(0) { $0 + live($1) } }
    }

    private func live(_ run: Run) -> UInt64 {
        guard let through = state.acknowledged[run.epoch] else { return run.last - run.first + 1 }
        return through >= run.last ? 0 : run.last - max(run.first, through + 1) + 1
    }

    private func isDelivered(_ segment: SegmentFile) -> Bool { segment.runs.allSatisfy { live($0) == 0 } }

    // MARK: Append

    /// Makes records and state durable, together.
    ///
    /// - Throws: when it throws, nothing was taken and ``state`` is unchanged.
    public mutating func append(_ records: [StoredRecord], state new: SpoolState) throws(SpoolError) {
        try ensureSettled()
        let group = records.flatMap { Segment.frame($0) } + Segment.frame(new)
        if isActive, let last = segments.last, last.bytes + group.count > limits.segmentBytes,
            last.bytes > Segment.headerSize
        {
            rotate()
        }
        if bytes + group.count > limits.totalBytes {
            // What is delivered makes room, also in the segment that is being written: the new state goes into another.
            let kept = segments.reduce(0) { $0 + (isDelivered($1) ? 0 : $1.bytes) }
            guard records.isEmpty || kept + group.count <= limits.totalBytes else {
                throw .full(limit: limits.totalBytes)
            }
            if let last = segments.last, isDelivered(last) { isActive = false }
        }
        do { try write(group) } catch { throw .disk(error) }
        for record in records { segments[segments.count - 1].add(record.epoch, record.seq) }
        state = new
        if bytes > limits.totalBytes { removeDelivered() }
    }

    private mutating func write(_ group: [UInt8]) throws(DiskError) {
        let isNew = !isActive
        if isNew {
            segments.append(
                .init(
                    number: nextNumber, bytes: 0, runs: [],
                    start: .init(epoch: state.epoch, first: state.nextSeq, last: state.nextSeq)))
            nextNumber += 1
        }
        let index = segments.count - 1
        let segment = segments[index]
        let bytes =
            isNew ? Segment.header() + Segment.frame(startOf: state.epoch, seq: state.nextSeq) + group : group
        do { try put(bytes, in: segment, isNew: isNew) } catch {
            if isNew {
                segments.removeLast()
                try? directory.remove(segment.name)
            }
            throw error
        }
        segments[index].bytes += bytes.count
        isActive = true
    }

    private mutating func put(_ bytes: [UInt8], in segment: SegmentFile, isNew: Bool) throws(DiskError) {
        do { try directory.append(bytes, to: segment.name) } catch {
            // Nothing was synced, so the file is still good up to where it was, if it can be cut there.
            if !isNew {
                do { try directory.truncate(segment.name, to: segment.bytes) } catch { isActive = false }
            }
            throw error
        }
        do {
            try directory.sync(segment.name)
            if isNew { try directory.syncDirectory() }
        } catch {
            isActive = false
            throw error
        }
    }

    /// Ends the active segment. The states inside are of no use any more, so it is rewritten without them: a long outage
    /// fills the spool with records, not with checkpoints.
    private mutating func rotate() {
        isActive = false
        let index = segments.count - 1
        guard !isDelivered(segments[index]) else { return }
        // If it fails, the segment stays as it is, which is as good and only larger.
        try? rewrite(index, transform: { $0 })
    }

    // MARK: Reading

    /// The oldest records that are not acknowledged, in order.
    public mutating func load(maximumEvents: Int, maximumBytes: Int) throws(SpoolError) -> [StoredRecord] {
        try ensureSettled()
        var records: [StoredRecord] = []
        var total = 0
        for segment in segments where !isDelivered(segment) {
            for record in try self.records(segment) where !state.isAcknowledged(record.epoch, record.seq) {
                total += record.bytes.count
                if records.count == maximumEvents || (total > maximumBytes && !records.isEmpty) { return records }
                records.append(record)
            }
        }
        return records
    }

    private func records(_ segment: SegmentFile) throws(SpoolError) -> [StoredRecord] {
        let contents: [UInt8]
        do { contents = try directory.read(segment.name) } catch { throw .disk(error) }
        var found = segment
        found.runs = []
        var records: [StoredRecord] = []
        let bytes = contents.prefix(segment.bytes)
        for case .record(let epoch, let seq, let event) in Segment.items(bytes) {
            found.add(epoch, seq)
            records.append(.init(epoch: epoch, seq: seq, bytes: Array(bytes[event])))
        }
        guard found == segment, contents.count >= segment.bytes else { throw .damaged(segment: segment.name) }
        return records
    }

    // MARK: Delivery

    /// Notes that the control plane has an epoch's records up to `seq`, durably, and then removes segments it has whole.
    public mutating func acknowledge(_ epoch: UsageRecord.Epoch, through seq: UInt64) throws(SpoolError) {
        try ensureSettled()
        guard !state.isAcknowledged(epoch, seq) else { return }
        var new = state
        new.acknowledged[epoch] = seq
        do { try append([], state: new) } catch {
            // A full disk must not keep us from making room. Removing only the oldest segment leaves no hole, so that is
            // safe before the cursor is durable.
            guard case .disk(let failure) = error, failure.code == ENOSPC || failure.code == EDQUOT, segments.count > 1
            else {
                throw error
            }
            let old = state
            state = new
            let canGo = isDelivered(segments[0])
            state = old
            guard canGo else { throw error }
            do {
                try directory.remove(segments[0].name)
                segments.removeFirst()
                isDirectoryDirty = true
                try directory.syncDirectory()
            } catch { throw .disk(error) }
            try append([], state: new)
        }
        removeDelivered()
    }

    /// Best effort: what stays is removed next time or at the next start.
    mutating func removeDelivered() {
        // The last one holds the state.
        let delivered = segments.dropLast().filter { isDelivered($0) }
        do {
            for segment in delivered {
                isDirectoryDirty = true
                try directory.remove(segment.name)
            }
            if isDirectoryDirty { try directory.syncDirectory() }
        } catch { return }
        isDirectoryDirty = false
        segments.removeAll { delivered.contains($0) }
        // Only now: a cursor is needed as long as an older record might come back after a crash.
        let present = Set(segments.flatMap { $0.runs.map(\.epoch) })
        state.acknowledged = state.acknowledged.filter { present.contains($0.key) || $0.key == state.epoch }
    }
}
