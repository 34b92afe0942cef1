import Effects
import UsageRecord

@testable import Metering

/// Inputs to begin with whose form is too strict to be found by chance, made by the code that writes them.
func seeds(of target: String) -> [[UInt8]] {
    switch target {
    case "usage-batch":
        [Batch.body(of: records.map(CloudEvent.encode)), Batch.body(of: [CloudEvent.encode(records[0])])]
    case "spool": spoolSeeds
    default: []
    }
}

private let epoch = "ffeeddccbbaa99887766554433221100"

private let records: [UsageRecord] = [
    .interval(
        .init(
            observedMilliseconds: 10_000, busyMilliseconds: 5000, energyMillijoules: 3_000_000, energyReset: false,
            memoryByteMilliseconds: 10_000 << 30, samples: 10, expectedSamples: 10)), .gap(.agentDown), .gap(.diskFull),
].enumerated().map { seq, content in
    UsageRecord(
        podUID: "4c1f7c4e-0000-4000-8000-000000000001", epoch: epoch, seq: UInt64(seq), gpuUUID: "GPU-0",
        bootID: "boot", startMilliseconds: UInt64(seq) * 10_000, endMilliseconds: UInt64(seq) * 10_000 + 10_000,
        endRealtimeMilliseconds: 1_790_000_000_000, content: content)
}

private var spoolSeeds: [[UInt8]] {
    let state = SpoolState(podUID: "pod", epoch: epoch, nextSeq: 3)
    let stored = records.map { StoredRecord(epoch: epoch, seq: $0.seq, bytes: CloudEvent.encode($0)) }
    let whole =
        Segment.header() + Segment.frame(startOf: epoch, seq: 0) + stored.flatMap { Segment.frame($0) }
        + Segment.frame(state)
    let later = Segment.header() + Segment.frame(startOf: epoch, seq: 3) + Segment.frame(state)
    // Numbers that nothing can follow, and a hole of many records.
    var last = SpoolState(podUID: "pod", epoch: epoch, nextSeq: .max, acknowledged: [epoch: .max])
    let end =
        Segment.header() + Segment.frame(startOf: epoch, seq: .max)
        + Segment.frame(StoredRecord(epoch: epoch, seq: .max, bytes: stored[0].bytes)) + Segment.frame(last)
    last.acknowledged = [:]
    last.nextSeq = 500
    let hole = Segment.header() + Segment.frame(startOf: epoch, seq: 0) + Segment.frame(stored[0]) + Segment.frame(last)
    // The mode byte: as it is, with mended checksums, and in two halves.
    return [[0] + whole, [1] + whole, [0x81] + whole + later, [0] + end, [0] + hole]
}
