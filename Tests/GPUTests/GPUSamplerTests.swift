import Foundation
import GPU
import Synchronization
import Testing

@Suite struct GPUSamplerTests {
    static let mib: UInt64 = 1 << 20

    @Test func everyMainValueOfAGPUIsRead() async throws {
        let driver = try SimulatedDriver(
            """
            driver.version = 570.86.15
            driver.level = R570
            gpu.0.uuid = GPU-11111111-2222-3333-4444-555555555555
            gpu.0.utilization.gpu = 73
            gpu.0.utilization.memory = 41
            gpu.0.memory.used_mib = 12345
            gpu.0.power.mw = 456789
            gpu.0.energy.mj = 1000000
            gpu.0.energy.rate_mw = 0
            gpu.0.temperature.c = 61
            gpu.0.clock.sm_mhz = 1755
            gpu.0.ecc.uncorrected_volatile = 2
            gpu.0.clock.event_reasons = 0x24
            gpu.0.recovery_action = 1
            """)
        let sampler = try driver.start()
        let snapshot = try await sampler.snapshot { $0.state == .ok }
        #expect(snapshot.driverVersion == "570.86.15")
        #expect(snapshot.nvmlVersion == "12.570.86.15")
        #expect(snapshot.cudaDriverVersion == "12.8")
        #expect(snapshot.reason == "")
        #expect(
            snapshot.devices == [
                GPUDevice(
                    uuid: "GPU-11111111-2222-3333-4444-555555555555", index: 0, name: "NVIDIA H100 80GB HBM3",
                    pciBusID: "00000000:1B:00.0", memoryTotalBytes: 81559 * Self.mib, vbiosVersion: "96.00.89.00.01",
                    minorNumber: 0)
            ])
        let sample = try #require(snapshot.samples.first)
        #expect(sample.state == .ok && sample.suspect == nil)
        #expect(sample.utilizationGPUPercent == 73 && sample.utilizationMemoryPercent == 41)
        #expect(sample.memoryUsedBytes == 12345 * Self.mib)
        #expect(sample.memoryFreeBytes == (81559 - 12345 - 551) * Self.mib)
        #expect(sample.memoryReservedBytes == 551 * Self.mib)
        #expect(sample.powerMilliwatts == 456789 && sample.energyMillijoules == 1_000_000)
        #expect(sample.temperatureCelsius == 61 && sample.memoryTemperatureCelsius == 40)
        #expect(sample.smClockMHz == 1755 && sample.memoryClockMHz == 2619)
        #expect(sample.eccUncorrected == 2 && sample.clockEventReasons == 0x24 && sample.recoveryAction == 1)
        #expect(sample.boottime <= snapshot.asOf)
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func valuesFollowTheDriverAndTheEnergyCounterGrows() async throws {
        let driver = try SimulatedDriver("gpu.0.utilization.gpu = 5\ngpu.0.power.mw = 1000000\n")
        let sampler = try driver.start()
        let first = try await sampler.snapshot { $0.samples.first?.utilizationGPUPercent == 5 }
        try driver.change("gpu.0.utilization.gpu = 99\ngpu.0.power.mw = 1000000\n")
        let second = try await sampler.snapshot { $0.samples.first?.utilizationGPUPercent == 99 }
        let grown =
            try #require(second.samples.first?.energyMillijoules) - (first.samples.first?.energyMillijoules ?? 0)
        let milliseconds =
            try #require(second.samples.first).boottime / 1_000_000
            - (try #require(first.samples.first).boottime / 1_000_000)
        // One kilowatt is one millijoule per microsecond; the simulator rounds to milliseconds.
        #expect(grown / 1000 <= milliseconds + 3 && grown / 1000 + 3 >= milliseconds)
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func whatIsNotSupportedOrNonsenseIsAbsent() async throws {
        let driver = try SimulatedDriver(
            """
            gpu.count = 2
            gpu.0.utilization.gpu = unsupported
            gpu.0.power.mw = unsupported
            gpu.0.energy.mj = unsupported
            gpu.0.temperature.c = unsupported
            gpu.0.clock.sm_mhz = unsupported
            gpu.0.ecc.mode = false
            gpu.1.utilization.gpu = 101
            gpu.1.memory.used_mib = 99999
            gpu.1.power.mw = 4294967295
            gpu.1.temperature.c = 4000000
            gpu.1.clock.sm_mhz = 4294967295
            gpu.1.field.83 = s64 -1
            gpu.1.result.nvmlDeviceGetTotalEnergyConsumption = UNKNOWN
            gpu.1.field.230 = NO_PERMISSION
            """)
        let sampler = try driver.start()
        let snapshot = try await sampler.snapshot { $0.samples.count == 2 }
        let (first, second) = (snapshot.samples[0], snapshot.samples[1])
        #expect(first.state == .ok)
        #expect(first.utilizationGPUPercent == nil && first.utilizationMemoryPercent == nil)
        #expect(first.powerMilliwatts == nil && first.energyMillijoules == nil)
        #expect(first.temperatureCelsius == nil && first.smClockMHz == nil && first.eccUncorrected == nil)
        #expect(first.memoryUsedBytes == 0)
        #expect(second.utilizationGPUPercent == nil && second.utilizationMemoryPercent == 0)
        #expect(
            second.suspect?.contains("memory_used_bytes") == true
                && second.suspect?.contains("power_milliwatts") == true)
        #expect(second.memoryUsedBytes == nil)
        #expect(second.powerMilliwatts == nil && second.temperatureCelsius == nil && second.smClockMHz == nil)
        #expect(second.energyMillijoules == nil && second.recoveryAction == nil)
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func fieldsAreReadByTheTypeTheDriverNames() async throws {
        let driver = try SimulatedDriver(
            "gpu.0.field.83 = double 1234\ngpu.0.field.185 = u64 5678\ngpu.0.field.4 = s32 9\ngpu.0.field.230 = u16 3\n"
        )
        let sampler = try driver.start()
        let sample = try #require(try await sampler.snapshot { $0.state == .ok }.samples.first)
        #expect(sample.energyMillijoules == 1234)
        #expect(sample.powerMilliwatts == 5678)
        #expect(sample.eccUncorrected == 9)
        #expect(sample.recoveryAction == 3)
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func textWithoutItsZeroEndsWithTheBuffer() async throws {
        let driver = try SimulatedDriver("strings.unterminated = true\n")
        let sampler = try driver.start()
        let device = try #require(try await sampler.snapshot { $0.state == .ok }.devices.first)
        #expect(device.name.hasPrefix("NVIDIA H100 80GB HBM3~"))
        #expect(device.name.utf8.count == 96)
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func everyTickReachesTheListenerInOrder() async throws {
        let driver = try SimulatedDriver("")
        let ticks = Mutex<[UInt64]>([])
        let sampler = try driver.start(onTick: { snapshot in ticks.withLock { $0.append(snapshot.tick) } })
        try await sampler.snapshot { $0.tick >= 4 }
        #expect(sampler.stop(milliseconds: 300_000))
        let seen = ticks.withLock { $0 }
        #expect(seen == Array(1...UInt64(seen.count)))
    }

    @Test func aSnapshotSurvivesJSONWithNamesInSnakeCase() async throws {
        let driver = try SimulatedDriver("gpu.0.mig.mode = true\ngpu.0.mig.0.profile = 1g.10gb\n")
        let sampler = try driver.start()
        let snapshot = try await sampler.snapshot { $0.state == .ok }
        #expect(sampler.stop(milliseconds: 300_000))
        let json = try JSONEncoder().encode(snapshot)
        #expect(try JSONDecoder().decode(GPUSnapshot.self, from: json) == snapshot)
        let text = String(decoding: json, as: UTF8.self)
        for key in ["driver_version", "as_of_boottime_ns", "memory_total_bytes", "parent_uuid", "power_milliwatts"] {
            #expect(text.contains("\"\(key)\""))
        }
        #expect(!text.contains("utilization_gpu_percent"), "a GPU split into instances has no utilization")
    }

    @Test func aSamplerThatNeverStartedStops() throws {
        let driver = try SimulatedDriver("")
        let sampler = try GPUSampler(driver.options)
        #expect(sampler.snapshot.state == .starting)
        #expect(sampler.stop(milliseconds: 0))
    }

    @Test func nvmlIsLetGoAndTakenUpAgainOnRequest() async throws {
        let driver = try SimulatedDriver("")
        let sampler = try driver.start()
        try await sampler.snapshot { $0.state == .ok }
        #expect(try driver.countReturns() == 0)
        sampler.release()
        let released = try await sampler.snapshot { $0.state == .released }
        #expect(released.devices.count == 1)
        #expect(released.samples.allSatisfy { $0.memoryUsedBytes == nil })
        #expect(try driver.countReturns() == 1, "nobody holds NVML open")
        sampler.resume()
        try await sampler.snapshot { $0.state == .ok }
        #expect(sampler.stop(milliseconds: 300_000))
        #expect(try driver.countReturns() == 1)
    }

    @Test func anXIDIsReportedOnce() async throws {
        let driver = try SimulatedDriver("gpu.count = 2\nevent.1 = gpu=1 type=xid data=13\n")
        let sampler = try driver.start()
        let before = try await sampler.snapshot { $0.state == .ok }
        #expect(before.events.isEmpty, "what happened before is not reported")
        try driver.change(
            """
            gpu.count = 2
            event.1 = gpu=1 type=xid data=13
            event.2 = gpu=1 type=xid data=79
            event.3 = gpu=0 type=xid data=31 gi=3 ci=1
            """)
        try await sampler.snapshot { $0.events.count == 2 }
        let events = try await sampler.settled().events
        #expect(events.map(\.serial) == [1, 2])
        #expect(events.map(\.xid) == [79, 31])
        #expect(events.map(\.uuid) == [before.devices[1].uuid, before.devices[0].uuid])
        #expect(events.map(\.gpuInstanceID) == [nil, 3])
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func manyXIDsLeaveTheNewestSixtyFour() async throws {
        let driver = try SimulatedDriver("")
        let sampler = try driver.start()
        try await sampler.snapshot { $0.state == .ok }
        try driver.change((1...200).map { "event.\($0) = gpu=0 type=xid data=\($0)" }.joined(separator: "\n"))
        let events = try await sampler.snapshot { $0.events.last?.xid == 200 }.events
        #expect(events.map(\.xid) == Array(137...200))
        #expect(events.map(\.serial) == Array(137...200))
        #expect(sampler.stop(milliseconds: 300_000))
    }
}
