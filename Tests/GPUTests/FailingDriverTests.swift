import GPU
import Glibc
import LinuxKit
import Synchronization
import Testing

@Suite struct FailingDriverTests {
    // MARK: NVML as a whole

    @Test func withoutALibraryTheReasonSaysSoUntilOneAppears() async throws {
        let driver = try SimulatedDriver("")
        let late = driver.directory + "/late.so"
        let sampler = try driver.start { $0.libraryPath = late }
        let without = try await sampler.snapshot { $0.state == .noLibrary }
        #expect(without.reason.contains("late.so"))
        #expect(without.devices.isEmpty)
        #expect(symlink(driver.library, late) == 0)
        let with = try await sampler.snapshot { $0.state == .ok }
        #expect(with.devices.count == 1)
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func aLibraryThatIsNotNVMLIsNamed() async throws {
        let driver = try SimulatedDriver("")
        let sampler = try driver.start { $0.libraryPath = "libc.so.6" }
        #expect(try await sampler.snapshot { $0.state == .error }.reason.contains("libc.so.6 has no nvmlInit_v2"))
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test(arguments: [
        ("DRIVER_NOT_LOADED", GPUState.noDriver), ("GPU_NOT_FOUND", .noDriver),
        ("LIB_RM_VERSION_MISMATCH", .driverMismatch), ("OPERATING_SYSTEM", .accessRevoked), ("UNKNOWN", .error),
        ("4711", .error),
    ])
    func aFailedInitIsExplainedAndTriedAgain(_ code: String, _ state: GPUState) async throws {
        let driver = try SimulatedDriver("init.result = \(code)\ndriver.version = 570.86.15\n")
        let sampler = try driver.start()
        let failed = try await sampler.snapshot { $0.tick >= 1 }
        #expect(failed.state == state)
        #expect(!failed.reason.isEmpty)
        try driver.change("")
        try await sampler.snapshot { $0.state == .ok }
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func noGPUAtAllIsAStateOfItsOwn() async throws {
        let driver = try SimulatedDriver("gpu.count = 0\n")
        let sampler = try driver.start()
        try await sampler.snapshot { $0.state == .noGPU }
        try driver.change("gpu.count = 1\n")
        try await sampler.snapshot { $0.state == .ok }
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func aDriverThatFailsEverywhereIsReportedAndComesBack() async throws {
        let driver = try SimulatedDriver("gpu.count = 2\n")
        let sampler = try driver.start()
        let before = try await sampler.snapshot { $0.state == .ok }
        try driver.change("gpu.count = 2\nresult.* = UNKNOWN\n")
        let failed = try await sampler.snapshot { $0.state == .error }
        #expect(failed.devices == before.devices, "what was known stays listed")
        #expect(failed.samples.allSatisfy { $0.state == .error && $0.memoryUsedBytes == nil })
        try driver.change("gpu.count = 2\n")
        try await sampler.snapshot { $0.state == .ok }
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func aSingleErrorDoesNotEndTheSession() async throws {
        let driver = try SimulatedDriver("")
        let failures = Mutex(0)
        let sampler = try driver.start(onTick: { snapshot in
            if snapshot.tick == 1 { try? driver.change("gpu.0.result.* = UNKNOWN\n") }
            guard snapshot.state == .error else { return }
            failures.withLock { $0 += 1 }
            try? driver.change("")
        })
        try await sampler.snapshot { $0.state == .ok && failures.withLock { $0 } > 0 }
        #expect(try driver.calls("nvmlInitWithFlags") == 1)
        #expect(sampler.stop(milliseconds: 300_000))
    }

    // MARK: one device

    @Test func aLostGPUIsNotAskedAgainAndTheOthersGoOn() async throws {
        let driver = try SimulatedDriver("gpu.count = 2\n")
        let sampler = try driver.start()
        let before = try await sampler.snapshot { $0.state == .ok }
        try driver.change("gpu.count = 2\ngpu.0.lost = true\n")
        let lost = try await sampler.snapshot { $0.samples.first?.state == .lost }
        #expect(lost.state == .ok)
        #expect(lost.devices == before.devices)
        #expect(lost.samples[0].memoryUsedBytes == nil && lost.samples[0].powerMilliwatts == nil)
        #expect(lost.samples[1].state == .ok && lost.samples[1].powerMilliwatts == 70000)
        // The simulator would answer for GPU 0 again; nobody asks for it.
        try driver.change("gpu.count = 2\n")
        #expect(try await sampler.settled().samples.map(\.state) == [.lost, .ok])
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func whenEveryGPUIsLostTheyStayListedUntilTheyComeBack() async throws {
        let driver = try SimulatedDriver("gpu.count = 2\n")
        let sampler = try driver.start { $0.lostRetryMilliseconds = 10 }
        let before = try await sampler.snapshot { $0.state == .ok }
        try driver.change("gpu.count = 2\ngpu.*.lost = true\n")
        let lost = try await sampler.snapshot { $0.state == .error && $0.tick > before.tick + 5 }
        #expect(lost.reason.contains("every GPU is lost"))
        #expect(lost.devices == before.devices)
        #expect(lost.samples.map(\.state) == [.lost, .lost])
        try driver.change("gpu.count = 2\n")
        #expect(try await sampler.snapshot { $0.state == .ok }.samples.map(\.state) == [.ok, .ok])
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func aGPUThatNeedsAResetSaysSo() async throws {
        let driver = try SimulatedDriver("gpu.count = 2\ngpu.1.result.nvmlDeviceGetMemoryInfo_v2 = RESET_REQUIRED\n")
        let sampler = try driver.start()
        #expect(try await sampler.snapshot { $0.state == .ok }.samples.map(\.state) == [.ok, .resetRequired])
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func oneBadGPUNeverTakesTheOthersDown() async throws {
        let driver = try SimulatedDriver("gpu.count = 3\ngpu.1.result.* = UNKNOWN\n")
        let sampler = try driver.start()
        let snapshot = try await sampler.snapshot { $0.tick >= 1 }
        #expect(snapshot.state == .ok)
        #expect(snapshot.samples.map(\.state) == [.ok, .ok])
        #expect(snapshot.failedDevices == 1)
        #expect(snapshot.devices.map(\.index) == [0, 2])
        #expect(sampler.stop(milliseconds: 300_000))
    }

    // MARK: permission

    @Test func aForbiddenGPUIsCountedAndNotListed() async throws {
        let driver = try SimulatedDriver(
            "gpu.count = 2\ngpu.0.result.nvmlDeviceGetHandleByIndex_v2 = NO_PERMISSION\n")
        let sampler = try driver.start()
        let snapshot = try await sampler.snapshot { $0.state == .ok }
        #expect(snapshot.hiddenDevices == 1)
        #expect(snapshot.devices.map(\.index) == [1])
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func whenEveryGPUIsForbiddenAccessWasRevoked() async throws {
        let driver = try SimulatedDriver("result.nvmlDeviceGetHandleByIndex_v2 = NO_PERMISSION\n")
        let sampler = try driver.start()
        // A global result speaks for every GPU.
        let snapshot = try await sampler.snapshot { $0.state == .accessRevoked }
        #expect(snapshot.hiddenDevices == 1)
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func aDeniedValueIsAbsentAndAskedForOnce() async throws {
        let driver = try SimulatedDriver(
            "gpu.0.result.nvmlDeviceGetSamples = NO_PERMISSION\ngpu.0.result.nvmlDeviceGetUtilizationRates = NO_PERMISSION\n"
        )
        let sampler = try driver.start()
        let sample = try #require(try await sampler.settled().samples.first)
        #expect(sample.state == .ok)
        #expect(sample.utilizationGPUPercent == nil)
        #expect(sample.powerMilliwatts == 70000)
        #expect(try driver.calls("nvmlDeviceGetUtilizationRates") == 1)
        #expect(try driver.calls("nvmlDeviceGetSamples") == 1)
        #expect(sampler.stop(milliseconds: 300_000))
    }

    // MARK: hanging calls

    @Test func aHangingCallShowsAsUnresponsiveAndBlocksNobodyElse() async throws {
        let driver = try SimulatedDriver("")
        let other = try SimulatedDriver("")
        let sampler = try driver.start { $0.unresponsiveAfterMilliseconds = 300 }
        let neighbour = try other.start()
        let before = try await sampler.snapshot { $0.state == .ok }
        try driver.change("hang.nvmlDeviceGetSamples = true\n")
        let stuck = try await sampler.snapshot { $0.state == .hung }
        #expect(stuck.reason.contains("samples"))
        #expect(stuck.devices == before.devices)
        #expect(stuck.asOf < before.asOf + 60_000_000_000)
        let tick = neighbour.snapshot.tick
        try await neighbour.snapshot { $0.tick > tick && $0.state == .ok }
        #expect(!sampler.stop(milliseconds: 20), "a thread in the driver cannot be stopped")
        try driver.change("")
        #expect(sampler.stop(milliseconds: 300_000))
        #expect(neighbour.stop(milliseconds: 300_000))
    }

    @Test func aHangEndsWithTheCall() async throws {
        let driver = try SimulatedDriver("hang.nvmlInitWithFlags = true\n")
        let sampler = try driver.start { $0.unresponsiveAfterMilliseconds = 300 }
        #expect(try await sampler.snapshot { $0.state == .hung }.reason.contains("initialize"))
        try driver.change("")
        try await sampler.snapshot { $0.state == .ok }
        #expect(sampler.stop(milliseconds: 300_000))
    }

    // MARK: old drivers

    @Test(arguments: ["R450", "R470", "R535.43"])
    func aDriverWithoutNewerFunctionsIsReadByOlderOnes(_ level: String) async throws {
        let driver = try SimulatedDriver(
            "gpu.0.memory.used_mib = 7\ngpu.0.power.mw = 123456\ngpu.0.temperature.c = 50\ngpu.0.clock.event_reasons = 4\n",
            level: level)
        let sampler = try driver.start()
        let snapshot = try await sampler.snapshot { $0.state == .ok }
        let sample = try #require(snapshot.samples.first)
        let isOld = level != "R535.43"
        #expect(sample.memoryUsedBytes == 7 << 20)
        #expect((sample.memoryReservedBytes == nil) == isOld, "memory version 2 came with R510")
        #expect(sample.powerMilliwatts == 123456)
        #expect(sample.temperatureCelsius == 50)
        #expect(sample.clockEventReasons == 4)
        #expect(sample.recoveryAction == nil, "the field came with R570")
        #expect(sample.energyMillijoules != nil)
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func aStubThatAnswersFunctionNotFoundIsAsGoodAsNone() async throws {
        let driver = try SimulatedDriver("driver.level = R470\ngpu.0.memory.used_mib = 7\n")
        let sampler = try driver.start()
        let sample = try #require(try await sampler.snapshot { $0.state == .ok }.samples.first)
        #expect(sample.memoryUsedBytes == 7 << 20)
        #expect(sample.memoryReservedBytes == nil)
        #expect(sample.temperatureCelsius == 30)
        #expect(sampler.stop(milliseconds: 300_000))
    }
}
