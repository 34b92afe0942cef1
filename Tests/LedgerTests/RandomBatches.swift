import Ledger
import UsageRecord

/// SplitMix64: one seed, one sequence.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

let pod = "4c1f7c4e-0000-4000-8000-000000000001"

func epoch(_ number: Int) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 32 - digits.count) + digits
}

func record(
    pod: String = pod, epoch number: Int = 1, seq: UInt64, gpu: String = "GPU-0", boot: String = "boot-a",
    _ span: Range<UInt64>, cause: UsageRecord.GapCause? = nil, energy: UInt64? = 5, memory: UInt64? = 7
) -> UsageRecord {
    let length = span.upperBound - span.lowerBound
    return UsageRecord(
        podUID: pod, epoch: epoch(number), seq: seq, gpuUUID: gpu, bootID: boot, startMilliseconds: span.lowerBound,
        endMilliseconds: span.upperBound, endRealtimeMilliseconds: 1_795_475_167_089,
        content: cause.map { .gap($0) }
            ?? .interval(
                .init(
                    observedMilliseconds: length, busyMilliseconds: length / 2, energyMillijoules: energy,
                    memoryByteMilliseconds: memory, samples: 1, expectedSamples: 1)))
}

func body(_ records: [UsageRecord]) -> [UInt8] { Batch.body(of: records.map(CloudEvent.encode)) }

/// Batches as a confused or hostile agent would send them: new records, repeats, reorders, keys used twice, spans that
/// overlap, records of others, and events that are none.
func randomBatches(seed: UInt64, count: Int = 30) -> [[UInt8]] {
    var generator = SeededGenerator(seed: seed)
    var sent: [[UInt8]] = []
    return (0..<count).map { _ in
        var events: [[UInt8]] = []
        for _ in 0..<Int.random(in: 0...12, using: &generator) {
            if !sent.isEmpty, Int.random(in: 0..<4, using: &generator) == 0 {
                events.append(sent[Int.random(in: 0..<sent.count, using: &generator)])
                continue
            }
            let start = UInt64.random(in: 0..<400, using: &generator)
            let made = record(
                pod: Int.random(in: 0..<20, using: &generator) == 0 ? "other" : pod,
                epoch: Int.random(in: 1...3, using: &generator), seq: UInt64.random(in: 0..<25, using: &generator),
                gpu: "GPU-\(Int.random(in: 0..<2, using: &generator))",
                boot: Bool.random(using: &generator) ? "boot-a" : "boot-b",
                start..<start + UInt64.random(in: 1...20, using: &generator),
                cause: Int.random(in: 0..<4, using: &generator) == 0
                    ? UsageRecord.GapCause.allCases.randomElement(using: &generator) : nil,
                energy: Bool.random(using: &generator) ? UInt64.random(in: 0..<1000, using: &generator) : nil)
            var bytes = CloudEvent.encode(made)
            if Int.random(in: 0..<15, using: &generator) == 0 {
                let text = String(decoding: bytes, as: UTF8.self)
                bytes = Array(text.replacing("\"specversion\":\"1.0\"", with: "\"specversion\":\"0.3\"").utf8)
            }
            sent.append(bytes)
            events.append(bytes)
        }
        events.shuffle(using: &generator)
        return Batch.body(of: events)
    }
}

/// The ledger's rules again, written the slow and obvious way.
struct Oracle {
    var seen: [Event.Key: (bytes: [UInt8], reason: String?)] = [:]
    var kept: [Event.Key: UsageRecord] = [:]

    mutating func receive(_ body: [UInt8]) -> [Acknowledgement.Rejection] {
        var rejected: [Acknowledgement.Rejection] = []
        for element in (try? Batch.split(body)) ?? [] {
            let bytes = Array(element)
            let decoded = try? CloudEvent.decode(bytes)
            // The generator breaks only specversion, so the key of a broken event is readable after mending that.
            let mended = String(decoding: bytes, as: UTF8.self).replacing("\"0.3\"", with: "\"1.0\"")
            guard let named = decoded ?? (try? CloudEvent.decode(Array(mended.utf8))) else { continue }
            let key = Event.Key(epoch: named.epoch, seq: named.seq)
            let reason: String?
            if let known = seen[key] {
                reason = known.bytes == bytes ? known.reason : "conflict"
            } else {
                reason = refusal(of: decoded)
                seen[key] = (bytes, reason)
                if reason == nil, let decoded { kept[key] = decoded }
            }
            if let reason { rejected.append(.init(epoch: key.epoch, seq: key.seq, reason: reason)) }
        }
        return rejected
    }

    private func refusal(of record: UsageRecord?) -> String? {
        guard let record else { return "malformed: specversion is not 1.0" }
        guard record.podUID == pod else { return "foreign_pod" }
        let overlaps = kept.values.contains {
            $0.bootID == record.bootID && $0.gpuUUID == record.gpuUUID
                && $0.startMilliseconds < record.endMilliseconds && record.startMilliseconds < $0.endMilliseconds
        }
        return overlaps ? "overlap" : nil
    }

    func mark(_ epoch: String) -> UInt64? {
        var through: UInt64?
        while seen[.init(epoch: epoch, seq: through.map { $0 + 1 } ?? 0)] != nil {
            through = through.map { $0 + 1 } ?? 0
        }
        return through
    }

    func account(_ gpu: String) -> Account? {
        let records = kept.values.filter { $0.gpuUUID == gpu }
        guard !records.isEmpty else { return nil }
        var account = Account()
        account.records = UInt64(records.count)
        for record in records {
            switch record.content {
            case .gap(let cause): account.gapMilliseconds[cause, default: 0] += record.durationMilliseconds
            case .interval(let seen):
                account.intervalMilliseconds += record.durationMilliseconds
                account.observedMilliseconds += seen.observedMilliseconds
                if let busy = seen.busyMilliseconds {
                    account.busyMilliseconds = (account.busyMilliseconds ?? 0) + busy
                }
                if let energy = seen.energyMillijoules {
                    account.energyMillijoules = (account.energyMillijoules ?? 0) + energy
                }
                if let memory = seen.memoryByteMilliseconds {
                    account.memoryByteMilliseconds = (account.memoryByteMilliseconds ?? 0) + UInt128(memory)
                }
            }
        }
        return account
    }
}
