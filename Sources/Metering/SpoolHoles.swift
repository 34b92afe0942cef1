import Effects
import UsageRecord

extension Spool {
    /// Records of an epoch that must exist and do not: their bytes went bad.
    struct Hole: Equatable {
        var epoch: UsageRecord.Epoch
        var first: UInt64
        var count: UInt64
        /// The segment in which the gaps that replace them belong.
        var segment: Int
    }

    static var largestHole: UInt64 { 100_000 }

    /// Every epoch must go on without holes from its cursor, and the current one up to its next number.
    func holes(_ found: [Found]) -> [Hole] {
        var expected: [UsageRecord.Epoch: UInt64] = [:]
        // What the oldest segment does not go back to was delivered: segments go oldest first, the first one perhaps before
        // its cursor.
        if let oldest = found.first?.file, discarded.allSatisfy({ $0 > oldest.number }), unknown.isEmpty {
            expected[oldest.start.epoch] = oldest.start.first
        }
        for (epoch, seq) in state.acknowledged { expected[epoch] = max(seq.successor, expected[epoch] ?? 0) }
        var holes: [Hole] = []
        func note(_ epoch: UsageRecord.Epoch, upTo seq: UInt64, _ segment: Int) {
            let first = expected[epoch] ?? 0
            if seq > first, seq - first <= Self.largestHole {
                holes.append(.init(epoch: epoch, first: first, count: seq - first, segment: segment))
            }
        }
        for (index, segment) in found.enumerated() {
            for record in segment.records where !state.isAcknowledged(record.epoch, record.seq) {
                note(record.epoch, upTo: record.seq, index)
                expected[record.epoch] = record.seq.successor
            }
        }
        if !found.isEmpty, !state.epoch.isEmpty { note(state.epoch, upTo: state.nextSeq, found.count - 1) }
        return holes
    }

    /// Gaps with the lost records' identities over the time they covered: spans are contiguous, so what lies between the
    /// neighbours is what they covered. The control plane needs a sequence without holes to acknowledge what follows.
    func fill(_ holes: [Hole]) throws(DiskError) -> [(segment: Int, record: StoredRecord)] {
        var result: [(segment: Int, record: StoredRecord)] = []
        for hole in holes {
            let around = try around(hole)
            guard let pattern = around.pattern else { continue }
            for (index, span) in Self.spans(around, count: hole.count, pattern).enumerated() {
                var record = pattern
                record.seq = hole.first + UInt64(index)
                record.gpuUUID = span.uuid
                record.startMilliseconds = span.start
                record.endMilliseconds = span.end
                record.content = .gap(.quarantined)
                result.append(
                    (hole.segment, .init(epoch: hole.epoch, seq: record.seq, bytes: CloudEvent.encode(record))))
            }
        }
        return result
    }

    /// What is known on both sides of a hole, per device.
    struct Around {
        var before: [String: UInt64] = [:]
        var after: [String: UInt64] = [:]
        /// A record or state of the epoch, for pod, boot and wall label.
        var pattern: UsageRecord?
    }

    private func around(_ hole: Hole) throws(DiskError) -> Around {
        var around = Around()
        let end = hole.first + hole.count
        for segment in segments {
            let bytes = try directory.read(segment.name).prefix(segment.bytes)
            for item in Segment.items(bytes) {
                switch item {
                case .record(hole.epoch, let seq, let event):
                    guard let record = try? CloudEvent.decode(bytes[event]) else { continue }
                    if seq < hole.first {
                        around.before[record.gpuUUID] = max(around.before[record.gpuUUID] ?? 0, record.endMilliseconds)
                        around.pattern = around.pattern ?? record
                    } else if seq >= end {
                        around.after[record.gpuUUID] = min(
                            around.after[record.gpuUUID] ?? .max, record.startMilliseconds)
                        around.pattern = around.pattern ?? record
                    }
                case .state(let payload):
                    guard let state = SpoolState(bytes: bytes[payload]), state.epoch == hole.epoch,
                        let open = state.open
                    else {
                        continue
                    }
                    around.pattern = around.pattern ?? Self.pattern(state, open)
                    for stream in open.streams {
                        let start = stream.startMilliseconds
                        if state.nextSeq <= hole.first {
                            around.before[stream.gpuUUID] = max(around.before[stream.gpuUUID] ?? 0, start)
                        } else if state.nextSeq >= end {
                            around.after[stream.gpuUUID] = min(around.after[stream.gpuUUID] ?? .max, start)
                        }
                    }
                default: continue
                }
            }
        }
        return around
    }

    private static func pattern(_ state: SpoolState, _ open: OpenIntervals) -> UsageRecord {
        UsageRecord(
            podUID: state.podUID, epoch: state.epoch, seq: 0, gpuUUID: open.streams.first?.gpuUUID ?? "unknown",
            bootID: open.bootID, startMilliseconds: open.endMilliseconds, endMilliseconds: open.endMilliseconds + 1,
            endRealtimeMilliseconds: Int64(clamping: open.endMilliseconds) + open.offsetMilliseconds,
            content: .gap(.quarantined))
    }

    /// Exactly `count` spans over the lost time. When nothing is known about it, single milliseconds before the neighbour:
    /// either they were lost too, or the control plane refuses them as an overlap, which fills the hole as well.
    static func spans(
        _ around: Around, count: UInt64, _ pattern: UsageRecord
    ) -> [(uuid: String, start: UInt64, end: UInt64)] {
        var spans: [(uuid: String, start: UInt64, end: UInt64)] = []
        for (uuid, start) in around.before.sorted(by: { $0.key < $1.key }) {
            if let end = around.after[uuid], start < end { spans.append((uuid, start, end)) }
        }
        // More devices than lost records cannot be: what is over belongs to the last.
        while UInt64(spans.count) > count { spans.removeLast() }
        spans = cut(spans, into: count)
        var missing = count - UInt64(spans.count)
        while missing > 0 {
            let end = max(1, pattern.startMilliseconds - min(missing - 1, pattern.startMilliseconds))
            spans.append((pattern.gpuUUID, end - 1, end))
            missing -= 1
        }
        return spans
    }

    /// Cuts spans into `count` parts, as many of each as its share of the time; into fewer where parts would be shorter than a
    /// millisecond.
    private static func cut(
        _ spans: [(uuid: String, start: UInt64, end: UInt64)], into count: UInt64
    ) -> [(uuid: String, start: UInt64, end: UInt64)] {
        let lengths = spans.map { $0.end - $0.start }
        let total = lengths.reduce(0.0) { $0 + Double($1) }
        var parts = lengths.map { min($0, max(1, UInt64(Double($0) / total * Double(count)))) }
        // Rounding leaves some over, or takes some too many.
        var left = Int64(count) - Int64(parts.reduce(0, +))
        while left != 0 {
            let before = left
            for index in parts.indices where left != 0 {
                if left > 0, parts[index] < lengths[index] { (parts[index], left) = (parts[index] + 1, left - 1) }
                if left < 0, parts[index] > 1 { (parts[index], left) = (parts[index] - 1, left + 1) }
            }
            if left == before { break }
        }
        return zip(spans, parts).flatMap { span, parts in
            let length = span.end - span.start
            let (size, longer) = length.quotientAndRemainder(dividingBy: parts)
            // The first ones are a millisecond longer.
            return (0..<parts).map { part in
                let start = span.start + part * size + min(part, longer)
                return (span.uuid, start, start + size + (part < longer ? 1 : 0))
            }
        }
    }
}

extension UInt64 {
    /// The next number; the last one stays, for what a damaged file says is not counted on.
    var successor: UInt64 { self == .max ? self : self + 1 }
}
