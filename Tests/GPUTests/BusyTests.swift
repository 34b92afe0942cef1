import Testing

@testable import GPU

@Suite struct BusyTests {
    typealias Sample = BusyIntegrator.Sample
    private static let second: UInt64 = 1_000_000_000

    /// Six samples a second of `percent`, from `start` on (microseconds), so many.
    private static func samples(from start: UInt64, count: Int, percent: UInt64) -> [Sample] {
        (0..<UInt64(count)).map { Sample(at: start + $0 * 166_667, percent: percent) }
    }

    @Test func theFirstLookOnlyFindsOutWhereTheDriverIs() {
        var busy = BusyIntegrator()
        let isPlausible = busy.take(Self.samples(from: 1_000_000, count: 120, percent: 100), boottime: 5 * Self.second)
        #expect(isPlausible)
        #expect(busy.time == GPUBusyTime())
        #expect(busy.percent == 100)
        #expect(busy.lastSeen == 1_000_000 + 119 * 166_667)
    }

    @Test func everySampleCountsOnceForTheTimeSinceTheOneBefore() {
        var busy = BusyIntegrator()
        _ = busy.take([Sample(at: 1_000_000, percent: 0)], boottime: Self.second)
        _ = busy.take(
            [Sample(at: 1_500_000, percent: 100), Sample(at: 2_000_000, percent: 50)], boottime: 2 * Self.second)
        #expect(busy.time?.busyNanoseconds == 750_000_000)
        #expect(busy.time?.observedNanoseconds == Self.second)
        #expect(busy.percent == 75)
        // The same again, and one older: nothing.
        _ = busy.take(
            [Sample(at: 1_500_000, percent: 100), Sample(at: 2_000_000, percent: 50)], boottime: 3 * Self.second)
        #expect(busy.time?.busyNanoseconds == 750_000_000)
        #expect(busy.percent == 75, "what it was before")
    }

    @Test func aShortBurstBetweenTwoLooksIsNotLost() {
        var busy = BusyIntegrator()
        _ = busy.take([Sample(at: 0, percent: 0)], boottime: Self.second)
        var all = Self.samples(from: 166_667, count: 6, percent: 0)
        all[2] = Sample(at: all[2].at, percent: 100)
        _ = busy.take(all, boottime: 2 * Self.second)
        #expect(busy.time?.busyNanoseconds == 166_667_000)
    }

    @Test func aHoleIsUnobservedAndNeverLongerThanTheTimeThatWentBy() {
        var busy = BusyIntegrator()
        _ = busy.take([Sample(at: 1_000_000, percent: 100)], boottime: Self.second)
        // The driver's buffer ran over: 60 s between two samples.
        _ = busy.take([Sample(at: 61_000_000, percent: 100)], boottime: 61 * Self.second)
        #expect(busy.time == GPUBusyTime(unobservedNanoseconds: 60 * Self.second))
        // The wall clock jumped an hour ahead within a second.
        _ = busy.take([Sample(at: 3_661_000_000, percent: 100)], boottime: 62 * Self.second)
        #expect(busy.time?.unobservedNanoseconds == 61 * Self.second)
        #expect(busy.time?.busyNanoseconds == 0)
    }

    @Test func settingTheClockStartsOverAndCountsWhatWasMissed() {
        var busy = BusyIntegrator()
        _ = busy.take([Sample(at: 10_000_000, percent: 100)], boottime: Self.second)
        _ = busy.take([Sample(at: 11_000_000, percent: 100)], boottime: 2 * Self.second)
        busy.clockWasSet()
        #expect(busy.lastSeen == 0, "the driver's stamps are from another time now")
        _ = busy.take(
            [Sample(at: 11_000_000, percent: 100), Sample(at: 2_000_000, percent: 40)], boottime: 3 * Self.second)
        _ = busy.take([Sample(at: 3_000_000, percent: 40)], boottime: 4 * Self.second)
        #expect(busy.time?.busyNanoseconds == 1_400_000_000)
        #expect(busy.time?.observedNanoseconds == 2 * Self.second)
        #expect(busy.time?.unobservedNanoseconds == Self.second)
    }

    @Test func moreThanAllOfTheTimeIsNotBelieved() {
        var busy = BusyIntegrator()
        _ = busy.take([Sample(at: 1_000_000, percent: 0)], boottime: Self.second)
        let isPlausible = busy.take([Sample(at: 2_000_000, percent: 4_000_000)], boottime: 2 * Self.second)
        #expect(!isPlausible)
        #expect(busy.time == GPUBusyTime(unobservedNanoseconds: Self.second))
        #expect(busy.percent == nil)
    }

    @Test func withoutSamplesOneNumberStandsForTheTimeBetweenTwoLooks() {
        var busy = BusyIntegrator()
        for look in 1...3 {
            busy.take(percent: 50, method: .rates, boottime: UInt64(look) * Self.second, interval: Self.second)
        }
        #expect(
            busy.time == GPUBusyTime(method: .rates, busyNanoseconds: Self.second, observedNanoseconds: 2 * Self.second)
        )
        // Ten intervals later: nobody knows.
        busy.take(percent: 100, method: .rates, boottime: 13 * Self.second, interval: Self.second)
        #expect(busy.time?.unobservedNanoseconds == 10 * Self.second)
        #expect(busy.time?.busyNanoseconds == Self.second)
    }

    /// Whatever the driver says: busy is at most observed, and no more time is told of than went by.
    @Test(arguments: UInt64(1)...40) func randomSamplesNeverTellOfMoreTimeThanThereWas(_ seed: UInt64) {
        var generator = SplitMix(state: seed)
        var busy = BusyIntegrator()
        var (boot, wall) = (UInt64(1_000_000_000), UInt64(1_700_000_000_000_000))
        var first: UInt64?
        var last = GPUBusyTime()
        for _ in 0..<500 {
            let passed = UInt64.random(in: 1_000...3_000_000, using: &generator)
            boot += passed * 1000
            wall += passed
            if Int.random(in: 0..<50, using: &generator) == 0 {
                wall = wall + UInt64.random(in: 0...7_200_000_000, using: &generator) - 3_600_000_000
                busy.clockWasSet()
            }
            let count = Int.random(in: 0...20, using: &generator)
            let samples = (0..<count).map { index in
                Sample(
                    at: wall - min(wall, UInt64(count - index) * UInt64.random(in: 1...400_000, using: &generator)),
                    percent: UInt64.random(in: 0...110, using: &generator))
            }
            _ = busy.take(samples, boottime: boot)
            guard let time = busy.time else { continue }
            if first == nil { first = boot }
            #expect(time.busyNanoseconds <= time.observedNanoseconds)
            #expect(
                time.busyNanoseconds >= last.busyNanoseconds && time.observedNanoseconds >= last.observedNanoseconds)
            #expect(time.unobservedNanoseconds <= boot - (first ?? boot))
            last = time
        }
    }

    // MARK: counters that start again

    @Test func aCounterGoesOnAcrossTheDriversRestart() {
        var energy = ResetAwareCounter()
        for value: UInt64 in [1000, 1500, 1500, 200, 300] { _ = energy.take(value) }
        #expect(energy.total == 500 + 200 + 100)
        #expect(energy.resets == 1)
    }

    @Test func anImpossibleGrowthIsLeftOutAndTheNextOneCounts() {
        var energy = ResetAwareCounter()
        let answers = [1000, 1 << 60, (1 << 60) + 50].map { energy.take($0, most: 100) }
        #expect(answers == [true, false, true])
        #expect(energy.total == 50)
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
