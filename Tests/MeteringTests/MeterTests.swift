import Metering
import Testing
import UsageRecord

/// One meter with a clock that the test moves.
private struct Bench {
    var meter: Meter
    var boottime: UInt64 = 1_000_000
    var wall: Int64
    private(set) var spans: [ClosedSpan] = []
    private(set) var checkpoints: [OpenIntervals] = []

    /// Starts 1000 s after boot, at noon UTC unless told.
    init(
        _ configuration: MeterConfiguration = Bench.short, wall: Int64 = 43_200_000, bootID: String = "boot",
        resuming: OpenIntervals? = nil
    ) {
        meter = Meter(configuration: configuration, bootID: bootID, resuming: resuming)
        self.wall = wall
    }

    /// Intervals of 10 s.
    static var short: MeterConfiguration {
        var configuration = MeterConfiguration()
        configuration.intervalMilliseconds = 10_000
        return configuration
    }

    mutating func tick(after milliseconds: UInt64 = 1000, suspended: UInt64 = 0, _ devices: DeviceReading...) {
        boottime += milliseconds
        wall += Int64(milliseconds)
        take(
            meter.tick(
                .init(
                    boottime: boottime * 1_000_000, realtimeMilliseconds: wall, suspended: suspended * 1_000_000,
                    devices: devices)))
    }

    mutating func close() { take(meter.close()) }

    private mutating func take(_ actions: [MeterAction]) {
        for action in actions {
            switch action {
            case .append(let span): spans.append(span)
            case .checkpoint(let open): checkpoints.append(open)
            }
        }
    }

    func seen(_ index: Int) -> UsageRecord.Observation? {
        if case .interval(let seen) = spans[index].content { seen } else { nil }
    }
}

private func gpu(_ percent: UInt32? = 50, energy: UInt64? = nil, memory: UInt64? = nil) -> DeviceReading {
    DeviceReading(uuid: "GPU-0", utilizationPercent: percent, energyMillijoules: energy, memoryUsedBytes: memory)
}

private let lost = DeviceReading(uuid: "GPU-0", state: .lost)

@Suite struct MeterTests {
    @Test func anIntervalSumsWhatWasSeen() throws {
        var bench = Bench()
        for second in 0...10 as ClosedRange<UInt64> { bench.tick(gpu(50, energy: second * 300_000, memory: 1 << 30)) }
        #expect(bench.spans.count == 1)
        #expect(bench.spans[0].startMilliseconds == 1_001_000)
        #expect(bench.spans[0].endMilliseconds == 1_011_000)
        #expect(bench.spans[0].endRealtimeMilliseconds == 43_211_000)
        let seen = try #require(bench.seen(0))
        #expect(
            seen
                == .init(
                    observedMilliseconds: 10_000, busyMilliseconds: 5000, energyMillijoules: 3_000_000,
                    energyReset: false, memoryByteMilliseconds: 10_000 << 30, samples: 10, expectedSamples: 10))
    }

    @Test func whatADeviceDoesNotTellIsAbsentAndNotZero() throws {
        var bench = Bench()
        for _ in 0...10 { bench.tick(gpu(nil)) }
        let seen = try #require(bench.seen(0))
        #expect(seen.observedMilliseconds == 10_000)
        #expect(seen.busyMilliseconds == nil && seen.energyMillijoules == nil && seen.memoryByteMilliseconds == nil)
    }

    @Test func valuesThatCannotBeAreTakenAsNotRead() throws {
        var bench = Bench()
        bench.tick(gpu(50, energy: 0))
        bench.tick(gpu(101, energy: 1_000_000_000, memory: 1 << 50))
        for _ in 2...10 { bench.tick(gpu(nil)) }
        let seen = try #require(bench.seen(0))
        #expect(seen.busyMilliseconds == nil && seen.energyMillijoules == nil && seen.memoryByteMilliseconds == nil)
    }

    @Test func roundingDoesNotAccumulate() {
        var bench = Bench()
        // 1 % of 10 s is 100 ms; cut every second tick by nothing: 3 % of 333 ms never is a whole millisecond.
        for _ in 0..<3001 { bench.tick(after: 333, gpu(3)) }
        bench.close()
        let busy = bench.spans.indices.compactMap { bench.seen($0)?.busyMilliseconds }.reduce(0, +)
        #expect(busy == 3000 * 333 * 3 / 100)
    }

    /// A device with a busy counter, in milliseconds.
    private func counted(_ milliseconds: UInt64) -> DeviceReading {
        DeviceReading(uuid: "GPU-0", busyNanoseconds: milliseconds * 1_000_000, utilizationPercent: 100)
    }

    @Test func theBusyCounterCountsAndNotThePercentAtTheLook() {
        var bench = Bench()
        for second in 0...10 as ClosedRange<UInt64> { bench.tick(counted(7000 + second * 300)) }
        #expect(bench.seen(0)?.busyMilliseconds == 3000)
    }

    @Test func busyTimeThatComesLateIsNotLostAtTheEndOfAnInterval() {
        var bench = Bench()
        // The driver's samples lag: nothing in the first second, twice as much in the second that ends the interval.
        bench.tick(counted(0))
        bench.tick(counted(0))
        for second in 2...9 as ClosedRange<UInt64> { bench.tick(counted((second - 1) * 1000)) }
        bench.tick(counted(10_800))
        for _ in 11...20 { bench.tick(counted(10_800)) }
        let busy = [bench.seen(0)?.busyMilliseconds, bench.seen(1)?.busyMilliseconds]
        #expect(busy == [10_000, 800])
    }

    @Test func aBusyCounterThatStartsOverOrRunsAheadOfTimeIsNotBelieved() {
        var bench = Bench()
        bench.tick(counted(5000))
        bench.tick(counted(5500))
        bench.tick(counted(100))
        bench.tick(counted(200))
        bench.tick(counted(900_000))
        bench.close()
        #expect(bench.seen(0)?.busyMilliseconds == 600)
    }

    @Test func aLateTickCreditsNoBusyTimeOfTheGap() {
        var bench = Bench()
        bench.tick(counted(0))
        bench.tick(counted(1000))
        bench.tick(after: 7000, counted(8000))
        bench.tick(counted(9000))
        bench.close()
        #expect(bench.spans.indices.compactMap { bench.seen($0)?.busyMilliseconds } == [1000, 1000])
    }

    @Test func anEnergyCounterThatWentBackIsALowerBoundAndSaysSo() throws {
        var bench = Bench()
        bench.tick(gpu(energy: 1_000_000))
        bench.tick(gpu(energy: 1_100_000))
        bench.tick(gpu(energy: 40_000))
        bench.close()
        let seen = try #require(bench.seen(0))
        #expect(seen.energyMillijoules == 140_000)
        #expect(seen.energyReset)
    }

    @Test func aLateTickIsAGapAndNotUsage() {
        var bench = Bench()
        bench.tick(gpu(100))
        bench.tick(gpu(100))
        bench.tick(after: 7000, gpu(100))
        bench.close()
        #expect(bench.spans.map(\.content).last == .gap(.agentStalled))
        #expect(bench.spans.map(\.startMilliseconds) == [1_001_000, 1_003_000])
        #expect(bench.spans.map(\.endMilliseconds) == [1_003_000, 1_009_000])
        #expect(bench.seen(0)?.busyMilliseconds == 2000)
    }

    @Test func sleepOfTheMachineIsNamed() {
        var bench = Bench()
        bench.tick(gpu())
        bench.tick(after: 3_600_000, suspended: 3_590_000, gpu())
        #expect(bench.spans.last?.content == .gap(.suspended))
    }

    @Test func aLostDeviceEndsAtItsLastGoodTick() {
        var bench = Bench()
        bench.tick(gpu(100))
        bench.tick(gpu(100))
        bench.tick(lost)
        bench.tick(lost)
        bench.tick(gpu(100))
        bench.tick(gpu(100))
        bench.close()
        #expect(bench.spans.map(\.startMilliseconds) == [1_001_000, 1_002_000, 1_005_000])
        #expect(bench.spans.map(\.endMilliseconds) == [1_002_000, 1_005_000, 1_006_000])
        #expect(bench.spans[1].content == .gap(.nvmlError))
    }

    @Test func aDeviceThatVanishedIsAGapToo() {
        var bench = Bench()
        bench.tick(gpu())
        bench.tick()
        bench.tick()
        bench.close()
        #expect(bench.spans.map(\.content) == [.gap(.nvmlError)])
        #expect(bench.spans.first?.endMilliseconds == 1_003_000)
    }

    @Test func anIntervalEndsAtTheHour() {
        // 4 s before the hour.
        var bench = Bench(wall: 46_800_000 - 5000)
        for _ in 0...10 { bench.tick(gpu()) }
        bench.close()
        #expect(bench.spans.map(\.endRealtimeMilliseconds) == [46_800_000, 46_806_000])
    }

    @Test(arguments: [-7_200_000, 7_200_000, 700] as [Int64]) func aStepOfTheWallClockCutsTheIntervalOnly(step: Int64) {
        var bench = Bench()
        for _ in 0...3 { bench.tick(gpu()) }
        bench.wall += step
        for _ in 0...3 { bench.tick(gpu()) }
        bench.close()
        #expect(bench.spans.map { $0.endMilliseconds - $0.startMilliseconds }.reduce(0, +) == 7000)
        #expect(bench.spans.last?.endRealtimeMilliseconds == bench.wall)
    }

    @Test func aClockThatStandsStillOrGoesBackIsIgnored() {
        var bench = Bench()
        bench.tick(gpu())
        bench.tick(after: 0, gpu())
        bench.boottime -= 500
        bench.tick(after: 400, gpu())
        #expect(bench.meter.ignoredTicks == 2)
        bench.tick(after: 1100, gpu())
        bench.close()
        #expect(bench.spans.map { $0.endMilliseconds - $0.startMilliseconds } == [1000])
    }

    @Test func afterACrashTheUnseenTimeIsDeclared() throws {
        var bench = Bench()
        for _ in 0...4 { bench.tick(gpu()) }
        let open = try #require(bench.checkpoints.first)
        var next = Bench(resuming: open.waiting())
        next.boottime = open.endMilliseconds + 20_000
        next.tick(gpu())
        #expect(next.spans.map(\.content) == [.gap(.agentDown)])
        #expect(next.spans[0].startMilliseconds == open.endMilliseconds)
        #expect(next.spans[0].endMilliseconds == open.endMilliseconds + 21_000)
    }

    @Test func afterARebootTheLengthIsTheWallClocksWord() throws {
        var bench = Bench()
        for _ in 0...4 { bench.tick(gpu()) }
        let open = try #require(bench.checkpoints.first)
        var next = Bench(
            wall: open.offsetMilliseconds + Int64(open.endMilliseconds) + 59_000, bootID: "other",
            resuming: open.waiting())
        next.boottime = 3000
        next.tick(gpu())
        let gap = try #require(next.spans.first)
        #expect(gap.content == .gap(.clockUnsure))
        #expect(gap.bootID == "boot")
        #expect(gap.endMilliseconds - gap.startMilliseconds == 60_000)
        next.tick(gpu())
        next.close()
        #expect(next.spans.last?.bootID == "other")
        #expect(next.spans.last?.startMilliseconds == 4000)
    }

    @Test func checkpointsAreWrittenEveryTenSeconds() {
        var configuration = MeterConfiguration()
        configuration.intervalMilliseconds = 600_000
        var bench = Bench(configuration)
        for _ in 0...35 { bench.tick(gpu()) }
        #expect(bench.checkpoints.map(\.endMilliseconds) == [1_001_000, 1_011_000, 1_021_000, 1_031_000])
    }

    @Test func atMostAsManyDevicesAreFollowedAsConfigured() {
        var configuration = MeterConfiguration()
        configuration.maximumStreams = 2
        var bench = Bench(configuration)
        bench.tick(gpu(), .init(uuid: "GPU-1"), .init(uuid: "GPU-2"))
        #expect(bench.meter.open?.streams.map(\.gpuUUID) == ["GPU-0", "GPU-1"])
        // A new device takes the place of one that vanished, whose time is closed first.
        bench.tick(gpu(), .init(uuid: "GPU-2"))
        bench.tick(gpu(), .init(uuid: "GPU-2"))
        #expect(bench.meter.open?.streams.map(\.gpuUUID) == ["GPU-0", "GPU-2"])
        bench.close()
        #expect(bench.spans.contains { $0.gpuUUID == "GPU-1" && $0.content == .gap(.nvmlError) })
    }
}
