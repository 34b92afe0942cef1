import Effects
public import UsageRecord

extension Spool {
    static var temporary: String { "rewrite.temp" }
    static var deadLetters: String { "rejected.quarantine" }

    /// Writes a segment anew, whole and durable under the same name: a crash leaves the old file or the new one.
    ///
    /// Acknowledged records and inner states are left out.
    mutating func rewrite(_ index: Int, transform: ([StoredRecord]) -> [StoredRecord]) throws(DiskError) {
        let contents = try directory.read(segments[index].name).prefix(segments[index].bytes)
        var records: [StoredRecord] = []
        for case .record(let epoch, let seq, let event) in Segment.items(contents)
        where !state.isAcknowledged(epoch, seq) {
            records.append(.init(epoch: epoch, seq: seq, bytes: Array(contents[event])))
        }
        try rewrite(index, records: transform(records), state: state)
    }

    mutating func rewrite(_ index: Int, records: [StoredRecord], state: SpoolState) throws(DiskError) {
        var segment = segments[index]
        var bytes = Segment.header() + Segment.frame(startOf: segment.start.epoch, seq: segment.start.first)
        segment.runs = []
        for record in records {
            bytes += Segment.frame(record)
            segment.add(record.epoch, record.seq)
        }
        // Twice: a damaged record followed by two states cannot be taken for an append that a crash cut off.
        let commit = Segment.frame(state)
        bytes += commit + commit
        segment.bytes = bytes.count
        do {
            try directory.remove(Self.temporary)
            try directory.append(bytes, to: Self.temporary)
            try directory.sync(Self.temporary)
            try directory.rename(Self.temporary, to: segment.name)
        } catch {
            try? directory.remove(Self.temporary)
            throw error
        }
        let isLast = index == segments.count - 1
        segments[index] = segment
        isDirectoryDirty = true
        do { try directory.syncDirectory() } catch {
            // The name may still lead to the old file after a crash; whatever is appended must not depend on it.
            if isLast { isActive = false }
            throw error
        }
        isDirectoryDirty = false
    }

    /// Replaces a record that the control plane will never take by a gap of the same identity and span, so that the epoch has
    /// no hole; its bytes go to the dead letters.
    ///
    /// - Returns: false when there is no such record, or when it is that gap already.
    public mutating func quarantine(
        _ epoch: UsageRecord.Epoch, _ seq: UInt64, reason: String
    ) throws(SpoolError) -> Bool {
        if !isSettled { try reopen() }
        guard
            let index = segments.firstIndex(where: {
                $0.runs.contains { $0.epoch == epoch && ($0.first...$0.last).contains(seq) }
            }), !state.isAcknowledged(epoch, seq)
        else { return false }
        var refused: [UInt8]?
        do {
            let contents = try directory.read(segments[index].name).prefix(segments[index].bytes)
            for case .record(epoch, seq, let event) in Segment.items(contents) { refused = Array(contents[event]) }
        } catch { throw .disk(error) }
        guard let refused, var record = try? CloudEvent.decode(refused), record.content != .gap(.quarantined) else {
            return false
        }
        keepDeadLetter(epoch, seq, reason, refused)
        record.content = .gap(.quarantined)
        let gap = StoredRecord(epoch: epoch, seq: seq, bytes: CloudEvent.encode(record))
        do {
            try rewrite(index) { $0.map { $0.epoch == epoch && $0.seq == seq ? gap : $0 } }
        } catch { throw .disk(error) }
        return true
    }

    /// Keeps the bytes of refused records, one line each, within the quarantine's bound. Best effort: a full disk must not
    /// keep the other records from being delivered.
    public mutating func keepRejected(_ rejections: [Acknowledgement.Rejection]) {
        guard !rejections.isEmpty,
            let stored = try? load(maximumEvents: Batch.maximumEvents, maximumBytes: Batch.maximumBytes)
        else { return }
        for rejection in rejections {
            guard let record = stored.first(where: { $0.epoch == rejection.epoch && $0.seq == rejection.seq }) else {
                continue
            }
            keepDeadLetter(rejection.epoch, rejection.seq, rejection.reason, record.bytes)
        }
    }

    private mutating func keepDeadLetter(
        _ epoch: UsageRecord.Epoch, _ seq: UInt64, _ reason: String, _ event: [UInt8]
    ) {
        let safe = reason.unicodeScalars.prefix(200).map {
            $0.isASCII && $0.value >= 0x20 && $0.value < 0x7f ? Character($0) : "?"
        }
        let line = Array("\(epoch):\(seq)\t\(String(safe))\t".utf8) + event + [0x0a]
        keep(line, in: Self.deadLetters)
    }

    /// Adds to a quarantine file, removing the oldest ones while the bound is exceeded.
    mutating func keep(_ bytes: [UInt8], in name: String) {
        guard bytes.count <= limits.quarantineBytes else { return }
        var name = name
        if let size = quarantined.first(where: { $0.name == name })?.bytes,
            size + bytes.count > limits.quarantineBytes / 4
        {
            let older = "older-" + name
            guard (try? directory.rename(name, to: older)) != nil else { return }
            quarantined.removeAll { $0.name == older || $0.name == name }
            quarantined.append((older, size))
        }
        while quarantined.reduce(bytes.count, { $0 + $1.bytes }) > limits.quarantineBytes,
            let oldest = quarantined.first
        {
            guard (try? directory.remove(oldest.name)) != nil else { return }
            quarantined.removeFirst()
            if oldest.name == name { name = oldest.name }
        }
        guard (try? directory.append(bytes, to: name)) != nil else { return }
        if let index = quarantined.firstIndex(where: { $0.name == name }) {
            quarantined[index].bytes += bytes.count
        } else {
            quarantined.append((name, bytes.count))
        }
        try? directory.sync(name)
        try? directory.syncDirectory()
    }
}
