import Effects
import Foundation
import Testing
import UsageRecord

@testable import Metering

private let epoch = "00112233445566778899aabbccddeeff"
private let pod = "4c1f7c4e-0000-4000-8000-000000000001"

private func stored(_ seq: UInt64) -> StoredRecord {
    let record = UsageRecord(
        podUID: pod, epoch: epoch, seq: seq, gpuUUID: "GPU-0", bootID: "boot", startMilliseconds: seq * 1000,
        endMilliseconds: seq * 1000 + 1000, endRealtimeMilliseconds: 0, content: .gap(.agentDown))
    return StoredRecord(epoch: epoch, seq: seq, bytes: CloudEvent.encode(record))
}

private func state(_ next: UInt64) -> SpoolState { SpoolState(podUID: pod, epoch: epoch, nextSeq: next) }

@Suite struct SpoolTests {
    private let directory: TestDirectory
    private var limits = SpoolLimits()

    init() throws { directory = try TestDirectory() }

    private func open() throws -> Spool<TestDirectory> { try Spool(directory: directory, limits: limits) }

    /// A spool with the records 0..<count, each appended alone.
    private func filled(_ count: UInt64) throws -> Spool<TestDirectory> {
        var spool = try open()
        for seq in 0..<count { try append(seq, to: &spool) }
        return spool
    }

    private func append(_ seq: UInt64, to spool: inout Spool<TestDirectory>) throws {
        var new = spool.state
        new.podUID = pod
        new.epoch = epoch
        new.nextSeq = seq + 1
        try spool.append([stored(seq)], state: new)
    }

    private func load(_ spool: inout Spool<TestDirectory>) throws -> [StoredRecord] {
        try spool.load(maximumEvents: 10_000, maximumBytes: 1 << 24)
    }

    @Test func recordsAndStateAreThereAfterARestart() throws {
        _ = try filled(3)
        var again = try open()
        #expect(again.state == state(3))
        #expect(try load(&again) == (0..<3).map { stored($0) })
        #expect(again.recovery == .init())
    }

    @Test func theCursorOutlivesARestartAndDeliveredSegmentsGo() throws {
        var limits = self.limits
        limits.segmentBytes = 2000
        var test = self
        test.limits = limits
        var spool = try test.filled(20)
        let before = try directory.segments().count
        try spool.acknowledge(epoch, through: 16)
        #expect(try directory.segments().count < before)
        var again = try test.open()
        #expect(try load(&again) == (17..<20).map { stored($0) })
        #expect(again.count == 3)
        try again.acknowledge(epoch, through: 5)
        #expect(again.count == 3)
    }

    @Test(arguments: 1...700) func anAppendThatACrashCutOffIsTakenBackWhole(cut: Int) throws {
        _ = try filled(2)
        let name = try #require(try directory.segments().last)
        let whole = try directory.read(name).count
        var spool = try open()
        try append(2, to: &spool)
        let longer = try directory.read(name).count
        guard cut < longer - whole else { return }
        try directory.change(name) { $0.removeLast(cut) }
        var again = try open()
        #expect(try load(&again) == (0..<2).map { stored($0) })
        #expect(again.state == state(2))
        #expect(again.recovery.tornBytes == longer - whole - cut)
    }

    @Test func aDamagedRecordBecomesAGapOfTheSameIdentityAndSpan() throws {
        _ = try filled(5)
        let name = try #require(try directory.segments().first)
        try directory.change(name) { data in
            let event = data.range(of: Data(stored(2).bytes))
            data[(event?.lowerBound ?? 0) + 40] ^= 0x20
        }
        var again = try open()
        let records = try load(&again)
        #expect(records.map(\.seq) == [0, 1, 2, 3, 4])
        let gap = try CloudEvent.decode(records[2].bytes[...])
        #expect(gap.content == .gap(.quarantined))
        #expect(gap.startMilliseconds == 2000 && gap.endMilliseconds == 3000)
        #expect(again.recovery.replacedRecords == 1)
        #expect(try directory.list().contains { $0.hasSuffix(".quarantine") })
        // Once mended, nothing more is found.
        #expect(try open().recovery == .init())
    }

    @Test(arguments: [1, 2, 3, 7, 1000, 100_000] as [UInt64]) func lostTimeIsSharedOutWhole(count: UInt64) throws {
        let before: [String: UInt64] = ["a": 0, "b": 500, "c": 10]
        let after: [String: UInt64] = ["a": 604_800_000, "b": 501, "c": 20_010]
        let around = Spool<TestDirectory>.Around(before: before, after: after)
        let pattern = try CloudEvent.decode(stored(1).bytes)
        let spans = Spool<TestDirectory>.spans(around, count: count, pattern)
        #expect(UInt64(spans.count) == count)
        for (uuid, start) in before {
            let own = spans.filter { $0.uuid == uuid }
            guard let first = own.first, let last = own.last else {
                #expect(count < 3)
                continue
            }
            #expect(first.start == start && last.end == after[uuid])
            #expect(own.allSatisfy { $0.start < $0.end })
            #expect(zip(own, own.dropFirst()).allSatisfy { $0.end == $1.start })
        }
    }

    @Test func aSegmentOfALaterVersionIsSetAsideUnread() throws {
        _ = try filled(1)
        let name = try #require(try directory.segments().first)
        try directory.change(name) { $0[8] = 9 }
        var again = try open()
        #expect(again.recovery.unknownVersions == 1)
        #expect(try load(&again).isEmpty)
        let kept = try #require(try directory.list().first { $0.hasSuffix(".quarantine") })
        #expect(try directory.read(kept)[8] == 9)
    }

    @Test func aFileWhoseSyncFailedIsNotTrustedAgain() throws {
        var spool = try filled(1)
        let before = try directory.segments()
        directory.fail("sync", EIO)
        #expect(throws: SpoolError.self) { try append(1, to: &spool) }
        directory.fail("sync", nil)
        #expect(spool.state.nextSeq == 1)
        try append(1, to: &spool)
        #expect(try directory.segments().count == before.count + 1)
        var again = try open()
        #expect(try load(&again) == [stored(0), stored(1)])
    }

    @Test func aFullDiskTakesNothingAndBreaksNothing() throws {
        var spool = try filled(1)
        directory.fail("append", ENOSPC)
        let error = #expect(throws: SpoolError.self) { try append(1, to: &spool) }
        guard case .disk(let disk)? = error, disk.code == ENOSPC else { Issue.record("\(error as Any)"); return }
        directory.fail("append", nil)
        try append(1, to: &spool)
        var again = try open()
        #expect(try load(&again) == [stored(0), stored(1)])
    }

    @Test func theLimitIsKeptAndDeliveryMakesRoom() throws {
        var test = self
        test.limits.segmentBytes = 2000
        test.limits.totalBytes = 8000
        var spool = try test.open()
        var next: UInt64 = 0
        #expect(throws: SpoolError.full(limit: 8000)) {
            while next < 1000 {
                try append(next, to: &spool)
                next += 1
            }
        }
        #expect(spool.bytes <= 8000)
        try spool.acknowledge(epoch, through: next - 1)
        try append(next, to: &spool)
        #expect(try load(&spool) == [stored(next)])
    }

    @Test func oneLoadKeepsToItsLimits() throws {
        var spool = try filled(10)
        let size = stored(9).bytes.count
        #expect(try spool.load(maximumEvents: 3, maximumBytes: 1 << 20).count == 3)
        #expect(try spool.load(maximumEvents: 100, maximumBytes: size * 4).count == 4)
        // One that is larger alone is still delivered.
        #expect(try spool.load(maximumEvents: 100, maximumBytes: 1).count == 1)
    }

    @Test func aRefusedRecordIsReplacedOnceAndItsBytesAreKept() throws {
        var spool = try filled(3)
        #expect(try spool.quarantine(epoch, 1, reason: "HTTP 400\u{1b}[31m"))
        #expect(try !spool.quarantine(epoch, 1, reason: "HTTP 400"))
        #expect(try !spool.quarantine(epoch, 77, reason: "HTTP 400"))
        let gap = try CloudEvent.decode(try load(&spool)[1].bytes[...])
        #expect(gap.content == .gap(.quarantined) && gap.seq == 1 && gap.startMilliseconds == 1000)
        let letters = String(decoding: try directory.read("rejected.quarantine"), as: UTF8.self)
        #expect(letters.hasPrefix("\(epoch):1\tHTTP 400?[31m\t{"))
    }

    @Test func aDiskThatCannotBeReadStopsItAndOneThatCannotBeWrittenDoesNot() throws {
        _ = try filled(2)
        directory.fail("read", EIO)
        #expect(throws: SpoolError.self) { try open() }
        directory.fail("read", nil)
        for operation in ["append", "sync", "rename", "syncDirectory"] { directory.fail(operation, EROFS) }
        var spool = try open()
        #expect(!spool.isSettled)
        #expect(spool.state.nextSeq == 2)
        #expect(throws: SpoolError.self) { try load(&spool) }
        for operation in ["append", "sync", "rename", "syncDirectory"] { directory.fail(operation, nil) }
        #expect(try load(&spool).count == 2)
        #expect(spool.isSettled)
    }
}
