import GPU
import Testing

@Suite struct MIGTests {
    static let twoInstances = """
        gpu.0.mig.mode = true
        gpu.0.mig.0.uuid = MIG-aaaaaaaa-0000-0000-0000-000000000000
        gpu.0.mig.0.profile = 1g.10gb
        gpu.0.mig.0.gi = 9
        gpu.0.mig.0.memory.used_mib = 1000
        gpu.0.mig.2.uuid = MIG-cccccccc-0000-0000-0000-000000000000
        gpu.0.mig.2.profile = 3g.40gb
        gpu.0.mig.2.gi = 2
        gpu.0.mig.2.ci = 1
        gpu.0.mig.2.memory.total_mib = 40192

        """

    @Test func instancesAreListedAfterTheirGPUWithTheirOwnMemoryOnly() async throws {
        let driver = try SimulatedDriver(Self.twoInstances)
        let sampler = try driver.start()
        let snapshot = try await sampler.snapshot { $0.state == .ok }
        #expect(sampler.stop(milliseconds: 300_000))
        #expect(snapshot.devices.count == 3)
        let (gpu, first, third) = (snapshot.devices[0], snapshot.devices[1], snapshot.devices[2])
        #expect(gpu.isPartitioned && gpu.parentUUID == nil)
        #expect(first.parentUUID == gpu.uuid && third.parentUUID == gpu.uuid)
        #expect([first.migProfile, third.migProfile] == ["1g.10gb", "3g.40gb"])
        #expect([first.migGPUInstanceID, third.migGPUInstanceID] == [9, 2])
        #expect([first.migComputeInstanceID, third.migComputeInstanceID] == [0, 1])
        #expect([first.index, third.index] == [0, 2], "slots have gaps")
        #expect(third.memoryTotalBytes == 40192 << 20)
        #expect(snapshot.allocatableDevices == [first, third])
        #expect(snapshot.samples[0].utilizationGPUPercent == nil)
        #expect(snapshot.samples[0].powerMilliwatts == 70000)
        #expect(snapshot.samples[1].memoryUsedBytes == 1000 << 20)
        #expect(snapshot.samples[1].powerMilliwatts == nil, "power is the whole GPU's")
        #expect(snapshot.samples[1].utilizationGPUPercent == nil)
    }

    @Test func aSlotThatGoesToAnotherInstanceIsNoticedAtOnce() async throws {
        let driver = try SimulatedDriver(Self.twoInstances)
        let sampler = try driver.start()
        try await sampler.snapshot { $0.devices.count == 3 }
        try driver.change(
            Self.twoInstances + "gpu.0.mig.0.uuid = MIG-bbbbbbbb-0000-0000-0000-000000000000\n")
        let after = try await sampler.snapshot {
            $0.devices.count == 3 && $0.devices[1].uuid == "MIG-bbbbbbbb-0000-0000-0000-000000000000"
        }
        #expect(after.samples[1].uuid == after.devices[1].uuid)
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func instancesThatAreDestroyedDisappear() async throws {
        let driver = try SimulatedDriver(Self.twoInstances)
        let sampler = try driver.start()
        try await sampler.snapshot { $0.devices.count == 3 }
        try driver.change("")
        let after = try await sampler.snapshot { $0.devices.count == 1 }
        #expect(!after.devices[0].isPartitioned)
        try await sampler.snapshot { $0.samples.first?.utilizationGPUPercent == 0 }
        #expect(sampler.stop(milliseconds: 300_000))
    }

    @Test func aNewInstanceIsAnnouncedByTheDriver() async throws {
        let driver = try SimulatedDriver("")
        let sampler = try driver.start()
        try await sampler.snapshot { $0.state == .ok }
        try driver.change(Self.twoInstances + "event.1 = gpu=0 type=mig_config data=0\n")
        let after = try await sampler.snapshot { $0.devices.count == 3 }
        #expect(after.events.isEmpty, "a new configuration is no XID")
        #expect(sampler.stop(milliseconds: 300_000))
    }
}
