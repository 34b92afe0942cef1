import Effects
import UsageRecord

extension Spool {
    /// A segment as it was found.
    struct Found {
        var file: SegmentFile
        var records: [(epoch: UsageRecord.Epoch, seq: UInt64)] = []
        var isDamaged = false
        var tornBytes = 0
        var state: SpoolState?
        var mustRewrite = false
    }

    /// Finds out what is there and makes it durable for good, completing interrupted work.
    mutating func recover() throws(DiskError) {
        isSettled = false
        let found = try examine()
        try settle(found)
        isSettled = true
    }

    /// Reads everything, changes nothing on disk.
    private mutating func examine() throws(DiskError) -> [Found] {
        recovery = .init()
        isActive = false
        quarantined = []
        unknown = []
        discarded = []
        var numbers: [UInt64] = []
        for name in try directory.list().sorted() {
            if let number = Segment.number(name) {
                numbers.append(number)
            } else if name.hasSuffix(".quarantine") {
                quarantined.append((name, try directory.read(name).count))
            }
        }
        numbers.sort()
        nextNumber = max(nextNumber, (numbers.last ?? 0) + 1)
        var found: [Found] = []
        var latest = SpoolState()
        for number in numbers {
            guard let segment = try examine(number) else { continue }
            recovery.tornBytes += segment.tornBytes
            if let state = segment.state {
                latest = state
                found.append(segment)
            } else {
                // Not one complete append: what a failed attempt left, or damage all over.
                discarded.append(number)
            }
        }
        state = latest
        dropUncommitted(&found)
        segments = found.map(\.file)
        recovery.damagedSegments = found.count { $0.isDamaged }
        recovery.unknownVersions = unknown.count
        return found
    }

    /// Writes anew what is damaged, and always the last segment with a complete append: what an earlier process wrote and did not sync, or could
    /// not sync, looks fine in the page cache and may still vanish. Syncing it again would prove nothing.
    private mutating func settle(_ found: [Found]) throws(DiskError) {
        for number in unknown {
            keep(try directory.read(Segment.name(number)), in: Segment.padded(number) + ".quarantine")
            try directory.remove(Segment.name(number))
        }
        let holes = holes(found)
        let gaps = holes.isEmpty ? [] : try fill(holes)
        recovery.replacedRecords = UInt64(gaps.count)
        for index in found.indices {
            let isLast = index == found.count - 1
            let own = gaps.filter { $0.segment == index }.map(\.record)
            guard isLast || found[index].mustRewrite || found[index].isDamaged || !own.isEmpty else { continue }
            if found[index].isDamaged {
                keep(
                    try directory.read(segments[index].name), in: Segment.padded(segments[index].number) + ".quarantine"
                )
            }
            try restore(index, keeping: found[index], adding: own)
        }
        let last = segments.last?.number
        for number in discarded {
            if let last, number < last { try keepDamaged(number) }
            try directory.remove(Segment.name(number))
        }
        for segment in segments where segment.runs.isEmpty && segment.number != last {
            try directory.remove(segment.name)
        }
        segments.removeAll { $0.runs.isEmpty && $0.number != last }
        try directory.syncDirectory()
        isActive = !segments.isEmpty
        isDirectoryDirty = true
        removeDelivered()
    }

    private mutating func keepDamaged(_ number: UInt64) throws(DiskError) {
        let name = Segment.padded(number) + ".quarantine"
        guard !quarantined.contains(where: { $0.name == name }) else { return }
        keep(try directory.read(Segment.name(number)), in: name)
    }

    private mutating func examine(_ number: UInt64) throws(DiskError) -> Found? {
        let bytes = try directory.read(Segment.name(number))
        guard Segment.isReadable(bytes[...]) else {
            unknown.append(number)
            return nil
        }
        let start = Run(epoch: "", first: 0, last: 0)
        var found = Found(file: .init(number: number, bytes: bytes.count, runs: [], start: start))
        var items = Segment.items(bytes[...])
        found.tornBytes = bytes.count - cutTorn(&items)
        for item in items {
            switch item {
            case .record(let epoch, let seq, _): found.records.append((epoch, seq))
            case .state(let payload): found.state = SpoolState(bytes: bytes[payload]) ?? found.state
            case .start(let epoch, let seq): found.file.start = .init(epoch: epoch, first: seq, last: seq)
            case .damage: found.isDamaged = true
            }
        }
        found.file.bytes -= found.tornBytes
        return found
    }

    /// Removes the last append if it is not complete: everything after the last state, and a last group that has a hole,
    /// because the disk may keep a later page and lose an earlier one. A segment that was ended has two states at its end.
    ///
    /// - Returns: how many bytes stay.
    private func cutTorn(_ items: inout [Segment.Item]) -> Int {
        func isState(_ item: Segment.Item) -> Bool { if case .state = item { true } else { false } }
        func isDamage(_ item: Segment.Item) -> Bool { if case .damage = item { true } else { false } }
        func end(_ item: Segment.Item?) -> Int {
            switch item {
            case .record(_, _, let range), .state(let range), .damage(let range): range.upperBound
            case .start: Segment.headerSize + Segment.frameHeaderSize + 24
            case nil: 0
            }
        }
        while let last = items.lastIndex(where: isState) {
            items.removeSubrange((last + 1)...)
            let previous = items[..<last].lastIndex(where: isState).map { $0 + 1 } ?? 0
            guard items[previous..<last].contains(where: isDamage) else { return end(items.last) }
            items.removeSubrange(previous...)
        }
        items.removeAll { if case .start = $0 { false } else { true } }
        return end(items.last)
    }

    /// A later segment says from which number on the epoch was written anew; older ones hold leavings of a failed append.
    private func dropUncommitted(_ found: inout [Found]) {
        var limit: [UsageRecord.Epoch: UInt64] = [:]
        for index in found.indices.reversed() {
            let count = found[index].records.count
            found[index].records.removeAll { record in limit[record.epoch].map { record.seq >= $0 } ?? false }
            if found[index].records.count != count { found[index].mustRewrite = true }
            let start = found[index].file.start
            limit[start.epoch] = min(limit[start.epoch] ?? .max, start.first)
        }
        // And a number that was already seen is not counted again.
        var next: [UsageRecord.Epoch: UInt64] = [:]
        for index in found.indices {
            let count = found[index].records.count
            found[index].records.removeAll { record in
                if let expected = next[record.epoch], record.seq < expected { return true }
                next[record.epoch] = record.seq.successor
                return false
            }
            if found[index].records.count != count { found[index].mustRewrite = true }
            found[index].file.runs = []
            for record in found[index].records { found[index].file.add(record.epoch, record.seq) }
        }
    }

    /// Writes a segment anew with what is good in it, and the gaps for what is not.
    private mutating func restore(
        _ index: Int, keeping found: Found, adding gaps: [StoredRecord]
    ) throws(DiskError) {
        let bytes = try directory.read(segments[index].name).prefix(segments[index].bytes)
        var records = gaps
        var left = found.records[...]
        for case .record(let epoch, let seq, let event) in Segment.items(bytes) {
            guard let next = left.first, next == (epoch, seq) else { continue }
            left.removeFirst()
            records.append(.init(epoch: epoch, seq: seq, bytes: Array(bytes[event])))
        }
        records.removeAll { state.isAcknowledged($0.epoch, $0.seq) }
        var order: [UsageRecord.Epoch: Int] = [:]
        for record in found.records where order[record.epoch] == nil { order[record.epoch] = order.count }
        records.sort { (order[$0.epoch] ?? .max, $0.epoch, $0.seq) < (order[$1.epoch] ?? .max, $1.epoch, $1.seq) }
        try rewrite(index, records: records, state: state)
    }
}
