import Metering
import UsageRecord

/// What really happened, kept outside the code under test.
struct Truth {
    struct Clock: Hashable {
        var boot: String
        var gpu: String
    }

    var lastTick: UInt64?
    var isDisturbed = false
    private(set) var isCheckpointed = false
    /// Per boot: how far a durable checkpoint reaches.
    private(set) var reach: [String: UInt64] = [:]
    /// Per epoch: the number after the last durable record.
    private var next: [String: UInt64] = [:]
    private var firstDurable: [Clock: UInt64] = [:]
    private var lastDurable: [Clock: UInt64] = [:]
    private var firstSeen: [Clock: UInt64] = [:]
    /// Milliseconds in which a device was really looked at.
    private var watched: [Clock: UInt64] = [:]
    private var good: Set<String> = []

    mutating func tick(_ time: UInt64, _ bootStart: UInt64, _ boot: String, _ devices: [World.Device]) {
        for device in devices where device.isPresent {
            let clock = Clock(boot: boot, gpu: device.uuid)
            if firstSeen[clock] == nil { firstSeen[clock] = time - bootStart }
            if let last = lastTick, good.contains(device.uuid), device.isOK {
                watched[clock, default: 0] += time - last > 2500 ? 1000 : time - last
            }
        }
        good = Set(devices.filter { $0.isOK && $0.isPresent }.map(\.uuid))
        lastTick = time
    }

    mutating func crashed() {
        isDisturbed = true
        lastTick = nil
        good = []
    }

    /// The state was reported durable.
    mutating func durable(_ state: SpoolState) {
        next[state.epoch] = max(next[state.epoch] ?? 0, state.nextSeq)
        guard let open = state.open else { return }
        isCheckpointed = true
        reach[open.bootID] = max(reach[open.bootID] ?? 0, open.endMilliseconds)
        for stream in open.streams {
            let clock = Clock(boot: open.bootID, gpu: stream.gpuUUID)
            firstDurable[clock] = min(firstDurable[clock] ?? .max, stream.startMilliseconds)
            lastDurable[clock] = max(lastDurable[clock] ?? 0, open.endMilliseconds)
        }
    }

    func judge(_ oracle: Oracle, rots: Bool, into violations: inout [String]) {
        if !rots { violations += oracle.complaints }
        var numbers: [String: [UInt64]] = [:]
        for key in oracle.kept.keys { numbers[key.epoch, default: []].append(key.seq) }
        for key in oracle.refused.keys where oracle.kept[key] == nil { numbers[key.epoch, default: []].append(key.seq) }
        for (epoch, seqs) in numbers.sorted(by: { $0.key < $1.key }) {
            if seqs.sorted() != Array(0..<UInt64(seqs.count)) {
                violations.append("epoch \(epoch) has holes or doubles")
            }
        }
        for (epoch, count) in next.sorted(by: { $0.key < $1.key }) where !rots {
            let found = numbers[epoch]?.count ?? 0
            if UInt64(found) < count {
                violations.append("epoch \(epoch): \(found) of \(count) durable records arrived")
            }
        }
        if !rots { judgeTime(oracle, &violations) }
        for (_, record) in oracle.kept.values { judgeSums(record, &violations) }
    }

    private func judgeTime(_ oracle: Oracle, _ violations: inout [String]) {
        var spans: [Clock: [UsageRecord]] = [:]
        for record in oracle.kept.values.map(\.record) + oracle.refused.values {
            spans[.init(boot: record.bootID, gpu: record.gpuUUID), default: []].append(record)
        }
        for (clock, first) in firstDurable.sorted(by: { ($0.key.boot, $0.key.gpu) < ($1.key.boot, $1.key.gpu) }) {
            let sorted = (spans[clock] ?? []).sorted { $0.startMilliseconds < $1.startMilliseconds }
            let last = lastDurable[clock] ?? 0
            guard let start = sorted.first?.startMilliseconds, let end = sorted.last?.endMilliseconds else {
                if last > first { violations.append("\(clock): nothing arrived of \(first)..<\(last)") }
                continue
            }
            if start > first { violations.append("\(clock): starts at \(start), not at \(first)") }
            if end < last { violations.append("\(clock): ends at \(end), not at \(last)") }
            for (one, two) in zip(sorted, sorted.dropFirst()) where one.endMilliseconds != two.startMilliseconds {
                violations.append("\(clock): \(one.endMilliseconds) is followed by \(two.startMilliseconds)")
            }
            let observed = sorted.reduce(UInt64(0)) {
                if case .interval(let seen) = $1.content { $0 + seen.observedMilliseconds } else { $0 }
            }
            let really = watched[clock] ?? 0
            if observed > really {
                violations.append("\(clock): \(observed) ms were billed, \(really) ms were watched")
            }
            let setAside = sorted.contains { $0.content == .gap(.quarantined) }
            if !isDisturbed && !setAside && (observed != really || start != firstSeen[clock]) {
                violations.append("\(clock): \(observed) of \(really) ms arrived though nothing was disturbed")
            }
        }
    }

    private func judgeSums(_ record: UsageRecord, _ violations: inout [String]) {
        guard case .interval(let seen) = record.content else { return }
        let length = record.durationMilliseconds
        if seen.observedMilliseconds != length || seen.busyMilliseconds != length
            || seen.memoryByteMilliseconds != length * 1000 || (seen.energyMillijoules ?? 0) > length * 100
        {
            violations.append("the sums of \(record) are wrong")
        }
    }
}
