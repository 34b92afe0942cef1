import Glibc
import Testing

@testable import GPU

@Suite struct SlowAndFastTests {
    // MARK: what a tick costs

    @Test(arguments: [1, 8, 16]) func aFastTickCostsSixCallsForEachGPUAndListsNoProcess(_ count: Int) throws {
        let driver = try SimulatedDriver("gpu.count = \(count)\ngpu.*.processes = 1:1\n")
        let sampler = try DrivenSampler(driver) { $0.slowIntervalMilliseconds = 1_000_000_000 }
        sampler.tick(3)
        func calls() throws -> UInt64 { try driver.calls() - driver.calls("nvmlEventSetWait_v2") }
        let (before, lists) = (try calls(), try driver.calls("nvmlDeviceGetComputeRunningProcesses_v3"))
        let ticks = 40
        sampler.tick(ticks)
        // One more a tick for all GPUs together: how many there are.
        #expect(try calls() - before <= UInt64(ticks * (count * 6 + 1)))
        #expect(try driver.calls("nvmlDeviceGetComputeRunningProcesses_v3") == lists)
        #expect(lists == UInt64(count), "at the first look only")
    }

    @Test func fiftySixInstancesCostFourCallsEach() throws {
        let slots = (0..<7).map { "gpu.*.mig.\($0).gi = \($0 + 7)\n" }.joined()
        let driver = try SimulatedDriver("gpu.count = 8\ngpu.*.mig.mode = true\n" + slots)
        let sampler = try DrivenSampler(driver) { $0.slowIntervalMilliseconds = 1_000_000_000 }
        #expect(sampler.tick(3).devices.count == 64)
        func calls() throws -> UInt64 { try driver.calls() - driver.calls("nvmlEventSetWait_v2") }
        let before = try calls()
        sampler.tick(20)
        let (instances, wholes, slots56) = (56 * 4, 8 * 6 + 1, 8 * 7)
        // Who it is, memory, and two for profiling; the GPUs themselves six, and seven slots in every second tick.
        #expect(try calls() - before <= UInt64(20 * (instances + wholes) + 10 * slots56))
    }

    @Test func whatChangesSlowlyIsLookedAtInTurns() throws {
        let driver = try SimulatedDriver("gpu.count = 4\n")
        let sampler = try DrivenSampler(driver) { $0.slowIntervalMilliseconds = 4000 }
        sampler.tick(1)
        for _ in 0..<8 {
            let before = try driver.calls("nvmlDeviceGetEnforcedPowerLimit")
            sampler.tick(1)
            #expect(try driver.calls("nvmlDeviceGetEnforcedPowerLimit") == before + 1)
        }
    }

    @Test func manyTicksLeakNothing() throws {
        // The by-hand run of a million: PACKET_GPU_TICKS=1000000 swift test --filter manyTicksLeakNothing
        let ticks = getenv("PACKET_GPU_TICKS").flatMap { Int(String(cString: $0)) } ?? 20_000
        let driver = try SimulatedDriver(MIGTests.twoInstances)
        let sampler = try DrivenSampler(driver)
        sampler.tick(1000)
        let (memory, descriptors, held) = (Self.residentKiB(), Self.descriptorCount(), try driver.outstanding())
        let openings = sampler.shared.snapshot.generation
        sampler.tick(ticks)
        #expect(try driver.outstanding() == held)
        #expect(held.eventSets == 1 && held.profilingSamples == 6)
        #expect(sampler.shared.snapshot.generation == openings, "NVML is opened once")
        // Other tests run beside this one; a leak of 100 bytes a tick would be more than that in a million.
        if ticks >= 1_000_000 {
            #expect(Self.residentKiB() <= memory + 8192)
            #expect(Self.descriptorCount() <= descriptors)
        }
        sampler.end()
        #expect(try driver.outstanding() == (0, 0))
    }

    private static func residentKiB() -> Int {
        var usage = rusage()
        // RUSAGE_SELF is 0 (getrusage(2)).
        getrusage(0, &usage)
        return usage.ru_maxrss
    }

    private static func descriptorCount() -> Int {
        (0..<4096).filter { fcntl(Int32($0), F_GETFD) >= 0 }.count
    }

    // MARK: what is read

    @Test func busySecondsAreWhatTheDriverSampled() async throws {
        let driver = try SimulatedDriver("gpu.0.utilization.gpu = 40\ngpu.0.utilization.memory = 20\n")
        let sampler = try driver.start()
        let later = try await sampler.snapshot { ($0.samples.first?.busy?.observedNanoseconds ?? 0) > 1_000_000_000 }
        #expect(sampler.stop(milliseconds: 300_000))
        let busy = try #require(later.samples[0].busy)
        #expect(busy.method == .samples && busy.busyNanoseconds == busy.observedNanoseconds / 100 * 40)
        #expect(later.samples[0].memoryBusy.map { $0.busyNanoseconds <= $0.observedNanoseconds / 100 * 20 } == true)
    }

    @Test func aHopperTellsWhatItsPartsDoWithoutAnybodyWaiting() throws {
        let driver = try SimulatedDriver(
            """
            gpu.0.gpm.graphics = 90
            gpu.0.gpm.sm = 80
            gpu.0.gpm.sm_occupancy = 40
            gpu.0.gpm.tensor = 33
            gpu.0.gpm.dram = 55
            gpu.0.gpm.fp64 = unsupported
            gpu.0.gpm.pcie_tx_mib_s = 7
            gpu.0.gpm.nvlink_rx_mib_s = 1000
            """)
        let sampler = try DrivenSampler(driver)
        #expect(sampler.tick().samples[0].activity == nil, "two samples are needed")
        let activity = try #require(sampler.tick().samples[0].activity)
        #expect(activity.graphicsPercent == 90 && activity.smPercent == 80 && activity.smOccupancyPercent == 40)
        #expect(activity.tensorPercent == 33 && activity.dramPercent == 55 && activity.fp64Percent == nil)
        #expect(activity.pcieTransmitBytesPerSecond == 7_340_032.0)
        #expect(activity.nvlinkReceiveBytesPerSecond == 1_048_576_000.0)
        try driver.change("gpu.0.gpm.sm = 4000000\n")
        let odd = sampler.tick().samples[0]
        #expect(odd.activity?.smPercent == nil && odd.suspect == ["activity"])
    }

    @Test func aGPUWithoutProfilingHasNone() throws {
        let driver = try SimulatedDriver("gpu.0.gpm.supported = false\n")
        let sampler = try DrivenSampler(driver)
        let sample = sampler.tick(3).samples[0]
        #expect(sample.activity == nil && sample.state == .ok && sample.suspect == nil)
        #expect(try driver.calls("nvmlGpmSampleAlloc") == 0)
    }

    @Test func anInstanceHasItsOwnBusyTimeByProfiling() throws {
        let driver = try SimulatedDriver(MIGTests.twoInstances + "gpu.0.mig.0.gpm.graphics = 50\n")
        let sampler = try DrivenSampler(driver)
        let samples = sampler.tick(5).samples
        #expect(samples[0].busy == nil, "a GPU that is split has no samples")
        #expect(samples[1].activity?.graphicsPercent == 50)
        #expect(samples[1].activity?.pcieTransmitBytesPerSecond == nil)
        let busy = try #require(samples[1].busy)
        #expect(busy.method == .profiling)
        #expect(busy.busyNanoseconds == busy.observedNanoseconds / 2 && busy.observedNanoseconds >= 3_000_000_000)
        #expect(samples[1].energyMillijoules == nil && samples[1].utilizationGPUPercent == nil)
        #expect(samples[2].busy?.busyNanoseconds == 0)
    }

    @Test func slowValuesAreRead() throws {
        let driver = try SimulatedDriver(
            """
            gpu.0.utilization.encoder = 11
            gpu.0.utilization.decoder = 22
            gpu.0.ecc.corrected_volatile = 3
            gpu.0.ecc.corrected_aggregate = 4
            gpu.0.ecc.uncorrected_aggregate = 5
            gpu.0.remapped.corrected = 6
            gpu.0.remapped.uncorrected = 7
            gpu.0.remapped.pending = 1
            gpu.0.violation.power_ns = 8000000000
            gpu.0.violation.thermal_ns = 9
            gpu.0.pcie.replay = 10
            gpu.0.nvlink.tx_kib = 2
            gpu.0.nvlink.rx_kib = 3
            gpu.0.nvlink.replay_errors = 12
            gpu.0.virtualization_mode = 2
            gpu.0.vgpu.licensed = true
            """)
        let sampler = try DrivenSampler(driver)
        let details = try #require(sampler.tick().samples[0].details)
        #expect(details.encoderPercent == 11 && details.decoderPercent == 22)
        #expect(details.eccCorrected == 3 && details.eccCorrectedAggregate == 4 && details.eccUncorrectedAggregate == 5)
        #expect(details.remappedRowsCorrectable == 6 && details.remappedRowsUncorrectable == 7)
        #expect(details.isRemapPending == true && details.isRemapFailed == false)
        #expect(details.retiredPagesSingleBit == nil, "an H100 remaps rows")
        #expect(
            details.throttledNanoseconds?["power"] == 8_000_000_000 && details.throttledNanoseconds?["thermal"] == 9)
        #expect(details.pcieReplays == 10 && details.pcieGeneration == 5 && details.pcieWidth == 16)
        #expect(
            details.nvlinkCount == 18 && details.nvlinkTransmittedBytes == 2048 && details.nvlinkReceivedBytes == 3072)
        #expect(details.nvlinkReplayErrors == 12 && details.fabricState == 3 && details.isVGPULicensed == true)
        #expect(details.powerLimitMilliwatts == 700_000)
    }

    @Test func countersThatFallAreResetsAndJumpsAreNotBelieved() throws {
        func energy(_ value: UInt64) -> String { "gpu.0.energy.mj = \(value)\ngpu.0.energy.rate_mw = 0\n" }
        let driver = try SimulatedDriver(energy(1_000_000))
        let sampler = try DrivenSampler(driver)
        #expect(sampler.tick().samples[0].energyUsedMillijoules == 0)
        try driver.change(energy(1_000_700))
        #expect(sampler.tick().samples[0].energyUsedMillijoules == 700)
        try driver.change(energy(50))
        let reset = sampler.tick().samples[0]
        #expect(reset.energyUsedMillijoules == 750 && reset.energyResets == 1 && reset.energyMillijoules == 50)
        try driver.change(energy(1 << 50))
        let jump = sampler.tick().samples[0]
        #expect(jump.energyUsedMillijoules == 750 && jump.suspect == ["energy_millijoules"])
    }

    @Test func aLibraryThatLiesIsMarked() throws {
        let driver = try SimulatedDriver("gpu.0.memory.used_mib = 99999\ngpu.0.clock.sm_mhz = 99999\n")
        let sampler = try DrivenSampler(driver)
        let sample = sampler.tick().samples[0]
        #expect(sample.state == .ok && sample.memoryUsedBytes == nil && sample.smClockMHz == nil)
        #expect(sample.suspect == ["memory_used_bytes", "sm_clock_mhz"])
        try driver.change("")
        #expect(sampler.tick(4).samples[0].suspect == nil)
    }

    @Test func everyXIDHasAMeaningAndAnAdvice() {
        for meaning in XIDMeaning.all {
            #expect(!meaning.meaning.isEmpty && !meaning.advice.isEmpty && meaning.weight != .unknown)
        }
        #expect(XIDMeaning.of(79).weight == .hardware && XIDMeaning.of(31).weight == .application)
        #expect(XIDMeaning.of(9999).weight == .unknown)
    }
}
