import Effects
import Foundation
import Metering
import Testing
import UsageRecord

@Suite struct RecorderTests {
    private let directory: TestDirectory
    private var limits = SpoolLimits()

    init() throws { directory = try TestDirectory() }

    private func start(
        pod: String = "4c1f7c4e-0000-4000-8000-000000000001", maximumPending: Int = 512
    ) throws -> Recorder<TestDirectory> {
        var configuration = MeterConfiguration()
        configuration.intervalMilliseconds = 5000
        configuration.checkpointMilliseconds = 2000
        return try Recorder(
            directory: directory, podUID: pod, bootID: "boot", configuration: configuration, limits: limits,
            maximumPending: maximumPending)
    }

    private func tick(_ second: UInt64) -> MeterTick {
        MeterTick(
            boottime: second * 1_000_000_000, realtimeMilliseconds: Int64(second) * 1000,
            devices: [DeviceReading(uuid: "GPU-0", utilizationPercent: 100)])
    }

    private func records(_ recorder: inout Recorder<TestDirectory>) throws -> [UsageRecord] {
        try recorder.load(maximumEvents: 1000, maximumBytes: 1 << 20).map { try CloudEvent.decode($0.bytes[...]) }
    }

    @Test func theNextAgentClosesWhatTheKilledOneLeftOpen() throws {
        var first = try start()
        for second in 100...108 as ClosedRange<UInt64> { _ = first.tick(tick(second)) }
        var second = try start()
        _ = second.tick(tick(120))
        _ = second.tick(tick(121))
        _ = second.close()
        let all = try records(&second)
        #expect(all.map(\.epoch) == [first.epoch, first.epoch, second.epoch, second.epoch])
        #expect(all.map(\.seq) == [0, 1, 0, 1])
        #expect(all.map(\.startMilliseconds) == [100_000, 105_000, 107_000, 120_000])
        #expect(all.map(\.endMilliseconds) == [105_000, 107_000, 120_000, 121_000])
        #expect(all[2].content == .gap(.agentDown))
        #expect(first.epoch != second.epoch)
    }

    @Test func anotherPodsRecordsAreDeliveredAndItsTimeIsNotContinued() throws {
        var first = try start()
        for second in 100...103 as ClosedRange<UInt64> { _ = first.tick(tick(second)) }
        var second = try start(pod: "other")
        _ = second.tick(tick(200))
        _ = second.tick(tick(201))
        _ = second.close()
        let all = try records(&second)
        #expect(all.map(\.podUID) == [first.state.podUID, "other"])
        #expect(all.last?.startMilliseconds == 200_000)
        #expect(second.totals["GPU-0"]?.observedMilliseconds == 1000)
    }

    @Test func timeThatCouldNotBeStoredIsDeclaredWhenTheDiskIsBack() throws {
        var recorder = try start(maximumPending: 2)
        _ = recorder.tick(tick(100))
        directory.fail("append", ENOSPC)
        var failures = 0
        for second in 101...140 as ClosedRange<UInt64> where recorder.tick(tick(second)).failure != nil {
            failures += 1
        }
        #expect(failures > 0)
        #expect(recorder.lostSpans > 0)
        directory.fail("append", nil)
        for second in 141...145 as ClosedRange<UInt64> { _ = recorder.tick(tick(second)) }
        _ = recorder.close()
        let all = try records(&recorder).sorted { $0.startMilliseconds < $1.startMilliseconds }
        #expect(all.first?.startMilliseconds == 100_000)
        #expect(all.last?.endMilliseconds == 145_000)
        for (one, two) in zip(all, all.dropFirst()) { #expect(one.endMilliseconds == two.startMilliseconds) }
        #expect(all.contains { $0.content == .gap(.diskFull) })
        #expect(all.map(\.seq).sorted() == Array(0..<UInt64(all.count)))
    }

    @Test func aFullSpoolDeclaresWhatItCouldNotTake() throws {
        var test = self
        test.limits.segmentBytes = 3000
        test.limits.totalBytes = 9000
        var recorder = try test.start(maximumPending: 4)
        for second in 100...300 as ClosedRange<UInt64> { _ = recorder.tick(tick(second)) }
        #expect(recorder.spoolBytes <= 9000)
        let stored = try records(&recorder)
        let last = try #require(stored.last)
        try recorder.deleteThrough(last.epoch, last.seq)
        for second in 301...310 as ClosedRange<UInt64> { _ = recorder.tick(tick(second)) }
        let later = try records(&recorder)
        #expect(later.first?.startMilliseconds == last.endMilliseconds)
        #expect(later.contains { $0.content == .gap(.diskFull) })
    }

    @Test func totalsGoOnOverRestarts() throws {
        var first = try start()
        for second in 100...110 as ClosedRange<UInt64> { _ = first.tick(tick(second)) }
        _ = first.close()
        var second = try start()
        for time in 120...130 as ClosedRange<UInt64> { _ = second.tick(tick(time)) }
        _ = second.close()
        #expect(second.totals["GPU-0"]?.observedMilliseconds == 20_000)
    }
}
