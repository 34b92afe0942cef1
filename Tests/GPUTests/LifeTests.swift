import Glibc
import Synchronization
import Testing

@testable import GPU

@Suite struct LifeTests {
    @Test func accessThatWasTakenAwayIsToldFromTheDeviceFile() throws {
        let driver = try SimulatedDriver("")
        let code = Mutex<Int32>(0)
        let asked = Mutex<[String]>([])
        let allowed: @Sendable (String) -> Int32 = { path in
            asked.withLock { $0.append(path) }
            return code.withLock { $0 }
        }
        let sampler = try DrivenSampler(driver) { $0.probeDevice = allowed }
        #expect(sampler.tick().state == .ok)
        // A daemon-reload on the host: what is open goes on, and then nothing works any more.
        try driver.change("result.* = UNKNOWN\n")
        code.withLock { $0 = EPERM }
        let revoked = sampler.tick(atMost: 10) { $0.state == .accessRevoked }
        #expect(revoked.state == .accessRevoked && revoked.reason.contains("/dev/nvidiactl"))
        #expect(revoked.state.advice?.contains("new pod") == true)
        #expect(asked.withLock { $0 }.allSatisfy { $0 == "/dev/nvidiactl" })
        // The same answer with a device file that opens is another fault.
        code.withLock { $0 = 0 }
        #expect(sampler.tick(atMost: 10) { $0.state == .error }.state == .error)
        try driver.change("")
        code.withLock { $0 = 0 }
        let back = sampler.tick(atMost: 20) { $0.state == .ok }
        #expect(back.state == .ok)
    }

    @Test func aLibraryReplacedOnDiskIsTakenUp() throws {
        let (old, new) = (
            try SimulatedDriver("driver.version = 570.86.15\n"), try SimulatedDriver("driver.version = 580.65.06\n")
        )
        let link = old.directory + "/late.so"
        #expect(symlink(old.library, link) == 0)
        let sampler = try DrivenSampler(old) { $0.libraryPath = link }
        #expect(sampler.tick().driverVersion == "570.86.15")
        // Only the agent holds the library now.
        old.letGo()
        // The node's driver was changed under the container; later its library is, too.
        try old.change("driver.version = 570.86.15\nresult.* = LIB_RM_VERSION_MISMATCH\n")
        let mismatch = sampler.tick(atMost: 10) { $0.state == .driverMismatch }
        #expect(mismatch.state == .driverMismatch && mismatch.devices.count == 1)
        #expect(mismatch.samples.allSatisfy { $0.state == .error && $0.memoryUsedBytes == nil })
        unlink(link)
        #expect(symlink(new.library, link) == 0)
        let back = sampler.tick(atMost: 20) { $0.state == .ok }
        #expect(back.driverVersion == "580.65.06")
    }

    @Test func aGPUThatIsRemovedOrAddedIsNoticedWithinTwoTicks() throws {
        let driver = try SimulatedDriver("gpu.count = 3\n")
        let sampler = try DrivenSampler(driver)
        #expect(sampler.tick().devices.count == 3)
        try driver.change("gpu.count = 2\n")
        #expect(sampler.tick(2).devices.count == 2)
        try driver.change("gpu.count = 4\n")
        let more = sampler.tick(2)
        #expect(more.devices.count == 4 && more.samples.allSatisfy { $0.state == .ok })
    }

    @Test func instancesAreFollowedWithinTwoTicksWithoutAnEvent() throws {
        let driver = try SimulatedDriver("gpu.0.mig.mode = true\ngpu.0.mig.0.gi = 1\n")
        let sampler = try DrivenSampler(driver)
        #expect(sampler.tick().devices.count == 2)
        try driver.change("gpu.0.mig.mode = true\ngpu.0.mig.0.gi = 1\ngpu.0.mig.3.gi = 2\n")
        #expect(sampler.tick(2).devices.count == 3)
        try driver.change("gpu.0.mig.mode = true\ngpu.0.mig.3.gi = 2\n")
        #expect(sampler.tick(2).devices.map(\.index) == [0, 3])
        try driver.change("")
        let whole = sampler.tick(2)
        #expect(whole.devices.count == 1 && !whole.devices[0].isPartitioned)
        try driver.change("gpu.0.mig.mode = true\ngpu.0.mig.0.gi = 1\n")
        #expect(sampler.tick(2).devices.count == 2, "its samples are gone, so it was split")
    }

    @Test func whatIsGoneForGoodIsNoReasonToLookForDevicesEveryTime() throws {
        let driver = try SimulatedDriver("")
        let sampler = try DrivenSampler(driver)
        sampler.tick(3)
        let looks = try driver.calls("nvmlDeviceGetHandleByIndex_v2")
        try driver.change(
            "gpu.0.result.nvmlDeviceGetCurrentClocksEventReasons = NOT_SUPPORTED\ngpu.0.result.nvmlDeviceGetCurrentClocksThrottleReasons = NOT_SUPPORTED\n"
        )
        #expect(sampler.tick(30).state == .ok)
        #expect(try driver.calls("nvmlDeviceGetHandleByIndex_v2") == looks + 1)
        // The same for a call of the enumeration itself that goes on failing.
        try driver.change("result.nvmlDeviceGetMigMode = UNKNOWN\nresult.nvmlDeviceGetClockInfo = NOT_SUPPORTED\n")
        sampler.tick(200)
        #expect(try driver.calls("nvmlDeviceGetHandleByIndex_v2") <= looks + 12)
    }

    @Test func countersGoOnAcrossReleaseAndANewOpening() throws {
        func energy(_ value: UInt64) -> String { "gpu.0.energy.mj = \(value)\ngpu.0.energy.rate_mw = 0\n" }
        let driver = try SimulatedDriver(energy(100))
        let sampler = try DrivenSampler(driver)
        let first = sampler.tick()
        #expect(first.generation == 1)
        let released = sampler.tick(isReleased: true)
        #expect(released.state == .released && released.devices.count == 1)
        #expect(try driver.outstanding() == (0, 0), "nothing of NVML is held")
        #expect(try driver.countReturns() == 1)
        try driver.change(energy(400))
        let back = sampler.tick()
        #expect(back.state == .ok && back.generation == 2)
        #expect(back.samples[0].energyUsedMillijoules == 300)
    }

    @Test func everyStateHasAnAdviceOrNeedsNone() {
        let fine: Set<GPUState> = [.starting, .ok, .noGPU]
        for state in GPUState.allCases { #expect((state.advice == nil) == fine.contains(state)) }
        for state in GPUDeviceState.allCases { #expect((state.advice == nil) == (state == .ok)) }
    }

    // MARK: events

    @Test func aStormOfTenThousandEventsIsCountedAndStaysSmall() async throws {
        let driver = try SimulatedDriver("")
        let sampler = try driver.start()
        let before = try await sampler.snapshot { $0.state == .ok }
        try driver.change(
            "event.1 = gpu=0 type=xid data=13 count=10000\nevent.20000 = gpu=0 type=ecc_single data=0 count=50\n")
        let after = try await sampler.snapshot {
            $0.xidCounts.first?.count == 10_000 && $0.eventCounts["ecc_single_bit"] == 50
        }
        #expect(sampler.stop(milliseconds: 300_000))
        #expect(after.xidCounts.count == 1 && after.xidCounts[0].xid == 13)
        #expect(after.xidCounts[0].uuid == before.devices[0].uuid)
        #expect(after.events.count == GPUSampler.eventLimit)
        #expect(after.events.map(\.serial) == Array(9_937...10_000))
        #expect(after.state == .ok)
    }

    @Test func anEventWaitThatHangsKeepsNobodyElse() async throws {
        let driver = try SimulatedDriver("hang.nvmlEventSetWait_v2 = true\n")
        let sampler = try driver.start { $0.unresponsiveAfterMilliseconds = 300 }
        let first = try await sampler.snapshot { $0.state == .ok }
        try await sampler.snapshot { $0.tick > first.tick + 3 && $0.state == .ok }
        // It cannot be let go either, and the sampling thread ends all the same.
        #expect(sampler.stop(milliseconds: 300_000))
        try driver.change("")
    }

    @Test func withoutEventsNoEventSetIsMade() throws {
        let driver = try SimulatedDriver("")
        let sampler = try DrivenSampler(driver) { $0.watchesEvents = false }
        #expect(sampler.tick(2).state == .ok)
        #expect(try driver.outstanding().eventSets == 0)
        #expect(try driver.calls("nvmlEventSetWait_v2") == 0)
    }

    // MARK: the watchdog

    @Test func theListenerHearsOfAHangWhileItLasts() async throws {
        let driver = try SimulatedDriver("")
        let hung = Mutex<[UInt64]>([])
        let sampler = try driver.start({ $0.unresponsiveAfterMilliseconds = 300 }) { snapshot in
            guard snapshot.state == .hung else { return }
            hung.withLock { $0.append(snapshot.asOf) }
        }
        try await sampler.snapshot { $0.state == .ok }
        try driver.change("hang.nvmlDeviceGetFieldValues = true\n")
        try await sampler.snapshot { _ in hung.withLock { $0.count } >= 2 }
        let seen = hung.withLock { $0 }
        #expect(seen == seen.sorted())
        try driver.change("")
        let after = try await sampler.snapshot { $0.state == .ok }
        #expect(after.statistics.hangs >= 1)
        #expect(sampler.stop(milliseconds: 300_000))
    }
}
