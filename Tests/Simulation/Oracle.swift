import UsageRecord

/// The control plane's rule, small: one record per key, no overlap, and remembers every reason to complain.
struct Oracle {
    struct Key: Hashable {
        var epoch: String
        var seq: UInt64
    }

    private(set) var kept: [Key: (bytes: [UInt8], record: UsageRecord)] = [:]
    private(set) var refused: [Key: UsageRecord] = [:]
    private(set) var complaints: [String] = []
    private var refuseList: Set<Key> = []
    private var poisoned: Set<Key> = []
    private var spans: [String: [UsageRecord]] = [:]

    static func brief(_ record: UsageRecord) -> String {
        let content = if case .gap(let cause) = record.content { cause.rawValue } else { "observed" }
        return "\(record.epoch.prefix(6)):\(record.seq) \(record.gpuUUID) \(record.bootID) "
            + "\(record.startMilliseconds)..<\(record.endMilliseconds) \(content)"
    }

    /// From now on this record is refused by name, unless it is kept already.
    mutating func refuse(_ epoch: String, _ seq: UInt64) { refuseList.insert(.init(epoch: epoch, seq: seq)) }

    /// From now on a batch with this record is refused as a whole, unless the record is kept already or is a gap.
    mutating func poison(_ epoch: String, _ seq: UInt64) { poisoned.insert(.init(epoch: epoch, seq: seq)) }

    mutating func receive(batch: [UInt8], pod: String) throws(RecordError) -> Acknowledgement {
        var events: [(key: Key, bytes: [UInt8], record: UsageRecord)] = []
        for part in try Batch.split(batch) {
            let record = try CloudEvent.decode(part)
            let key = Key(epoch: record.epoch, seq: record.seq)
            if poisoned.contains(key), kept[key] == nil, record.content != .gap(.quarantined) {
                throw RecordError("poison")
            }
            events.append((key, Array(part), record))
        }
        var rejected: [Acknowledgement.Rejection] = []
        for event in events {
            func reject(_ reason: String) {
                rejected.append(.init(epoch: event.key.epoch, seq: event.key.seq, reason: reason))
            }
            if let known = kept[event.key] {
                if known.bytes != event.bytes {
                    // A record that was kept while its answer was lost, and then refused by something in between, is set
                    // aside as a gap of the same span. That gap comes too late, and is refused.
                    let isLate =
                        event.record.content == .gap(.quarantined)
                        && event.record.startMilliseconds == known.record.startMilliseconds
                        && event.record.endMilliseconds == known.record.endMilliseconds
                    if !isLate {
                        complaints.append("conflict of \(Self.brief(event.record)) with \(Self.brief(known.record))")
                    }
                    reject("conflict")
                }
            } else if refuseList.contains(event.key) || refused[event.key] != nil {
                refused[event.key] = event.record
                reject("refused")
            } else if event.record.podUID != pod {
                reject("foreign pod")
            } else {
                let clock = event.record.bootID + " " + event.record.gpuUUID
                let other = spans[clock, default: []].first {
                    $0.startMilliseconds < event.record.endMilliseconds
                        && event.record.startMilliseconds < $0.endMilliseconds
                }
                if let other {
                    complaints.append("overlap of \(Self.brief(event.record)) with \(Self.brief(other))")
                    refused[event.key] = event.record
                    reject("overlap")
                } else {
                    kept[event.key] = (event.bytes, event.record)
                    spans[clock, default: []].append(event.record)
                }
            }
        }
        var marks: [Acknowledgement.Durable] = []
        for epoch in Set(events.map(\.key.epoch)).sorted() {
            var next: UInt64 = 0
            while kept[.init(epoch: epoch, seq: next)] != nil || refused[.init(epoch: epoch, seq: next)] != nil {
                next += 1
            }
            if next > 0 { marks.append(.init(epoch: epoch, throughSeq: next - 1)) }
        }
        return .init(sha256: Batch.digest(batch), durable: marks, rejected: rejected)
    }
}
