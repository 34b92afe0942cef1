import Glibc
import LinuxKit
import Testing

@testable import GPU

/// Faults beyond a wrong return code or a missing symbol (``FaultMatrixTests``).
@Suite struct FaultScenarioTests {
    // MARK: a call that hangs for ever

    private static let hopperAndInstance = """
        gpu.count = 2
        gpu.1.mig.mode = true
        gpu.1.mig.0.gi = 3
        gpu.0.processes = 1:10
        gpu.0.virtualization_mode = 2

        """

    /// Every function that the sampling thread calls on a current driver, by what the simulator counts.
    private static func functionsInUse() throws -> [String] {
        let driver = try SimulatedDriver(hopperAndInstance)
        let sampler = try DrivenSampler(driver)
        sampler.tick(4)
        let waiting = "nvmlEventSetWait_v2"  // a thread of its own: LifeTests
        return try functionsOfNVML.filter { try $0 != waiting && driver.calls($0) > 0 }
    }

    @Test func whicheverCallHangsForEverTheRestSaysSoAndGoesOn() async throws {
        let functions = try Self.functionsInUse()
        #expect(functions.count > 30)
        try await withThrowingTaskGroup(of: Void.self) { group in
            // A few at a time: each holds two threads and a library.
            var left = functions[...]
            func next() {
                guard let function = left.popFirst() else { return }
                group.addTask { try await Self.expectHangIsNoticed(function) }
            }
            for _ in 0..<6 { next() }
            while try await group.next() != nil { next() }
        }
    }

    private static func expectHangIsNoticed(_ function: String) async throws {
        let driver = try SimulatedDriver(hopperAndInstance + "hang.\(function) = true\n")
        let sampler = try driver.start { $0.unresponsiveAfterMilliseconds = 300 }
        let stuck = try await sampler.snapshot { $0.state == .hung }
        #expect(stuck.reason.contains("has not answered"), "\(function)")
        #expect(!sampler.stop(milliseconds: 10), "\(function): a thread in the driver cannot be stopped")
        try driver.change(hopperAndInstance)
        #expect(sampler.stop(milliseconds: 300_000), "\(function)")
    }

    @Test func aDriverThatDoesNotLetGoOfWhatWasAllocatedKeepsOnlyItsThread() async throws {
        for function in ["nvmlShutdown", "nvmlEventSetFree", "nvmlGpmSampleFree"] {
            let driver = try SimulatedDriver("hang.\(function) = true\n")
            let sampler = try driver.start()
            let seen = try await sampler.snapshot { $0.state == .ok && $0.tick >= 2 }
            #expect(!sampler.stop(milliseconds: 1000), "\(function)")
            #expect(sampler.snapshot.devices == seen.devices, "\(function)")
            try driver.change("")
            #expect(sampler.stop(milliseconds: 300_000), "\(function)")
        }
    }

    // MARK: process lists in a layout that the driver's version does not tell

    @Test(arguments: [16, 24, 32]) func aLayoutOfProcessesIsToldFromWhatWasWritten(_ stride: Int) throws {
        let driver = try SimulatedDriver(
            "processes.v3_stride = \(stride)\ngpu.0.processes = 100:512:1:0 200:unavailable 4194304:64:2:0\n")
        let sampler = try DrivenSampler(driver) { $0.processDirectory = driver.directory }
        let processes = try #require(sampler.tick().samples.first?.details?.processes)
        #expect(processes.map(\.pid) == [100, 200, 4_194_304])
        #expect(processes.map(\.memoryBytes) == [512 << 20, nil, 64 << 20])
    }

    @Test func aProcessWithManyDescriptorsIsFoundWithoutALongLook() throws {
        var template = Array("/tmp/gpu-device.XXXXXX".utf8CString)
        let device = try #require(mkdtemp(&template).map { String(cString: $0) }) + "/device0"
        defer {
            unlink(device)
            rmdir(String(device.dropLast("/device0".utf8.count)))
        }
        // This process stands in for one that opened much before its GPU.
        let many = (0..<300).map { _ in open("/dev/null", O_RDONLY | O_CLOEXEC) }
        defer { for number in many { close(number) } }
        let opened = try Descriptor(opening: device, O_RDWR | O_CREAT, mode: 0o600)
        #expect(many.allSatisfy { $0 >= 0 } && opened.number >= 300)
        let pid = UInt32(getpid())
        var attribution = ProcessAttribution(devicePrefix: device)
        func look(isFirst: Bool = false) -> String? {
            attribution.begin(isFirst: isFirst, count: 1)
            defer { attribution.end([pid]) }
            return attribution.name(pid, in: "/proc")
        }
        #expect(look() == nil, "the budget is smaller")
        let rounds = Int(opened.number) / ProcessAttribution.budget + 1
        #expect((0..<rounds).map { _ in look() }.contains { $0 != nil })
        // Once found, it is found at once.
        #expect((0..<3).map { _ in look() }.allSatisfy { $0 != nil })
        attribution = ProcessAttribution(devicePrefix: device)
        #expect(look(isFirst: true) != nil, "the first look has time")
    }

    // MARK: counters going backwards

    @Test func everyCounterMayFall() throws {
        func counters(_ value: UInt64) -> String {
            let keys = [
                "ecc.corrected_volatile", "ecc.corrected_aggregate", "ecc.uncorrected_volatile",
                "ecc.uncorrected_aggregate", "remapped.corrected", "remapped.uncorrected", "violation.power_ns",
                "violation.thermal_ns", "violation.sync_boost_ns", "violation.board_limit_ns",
                "violation.low_utilization_ns", "violation.reliability_ns", "pcie.replay", "pcie.tx_bytes",
                "pcie.rx_bytes", "nvlink.tx_kib", "nvlink.rx_kib", "nvlink.crc_flit_errors", "nvlink.crc_data_errors",
                "nvlink.replay_errors", "nvlink.recovery_errors", "energy.mj",
            ]
            return keys.map { "gpu.0.\($0) = \(value)\n" }.joined() + "gpu.0.energy.rate_mw = 0\n"
        }
        let driver = try SimulatedDriver(counters(5000))
        let sampler = try DrivenSampler(driver) { $0.slowIntervalMilliseconds = 1000 }
        sampler.tick(2)
        try driver.change(counters(5100))
        let grown = sampler.tick(2).samples[0]
        #expect(grown.energyUsedMillijoules == 100 && grown.pcieTransmittedBytes == 100)
        for value: UInt64 in [7, 0] {
            let before = sampler.shared.snapshot.samples[0]
            try driver.change(counters(value))
            let sample = sampler.tick(2).samples[0]
            #expect(sample.state == .ok && sample.suspect == nil)
            // The driver's own counters are shown as they are; what is counted on goes on, by what came since the restart.
            #expect(sample.energyMillijoules == value && sample.eccUncorrected == value)
            #expect(sample.details?.eccCorrected == value && sample.details?.pcieReplays == value)
            #expect(
                sample.details?.nvlinkReplayErrors == value && sample.details?.throttledNanoseconds?["power"] == value)
            #expect(sample.details?.nvlinkTransmittedBytes == value * 1024)
            #expect(sample.energyUsedMillijoules == (before.energyUsedMillijoules ?? 0) + value)
            #expect(sample.pcieTransmittedBytes == (before.pcieTransmittedBytes ?? 0) + value)
            #expect(sample.pcieReceivedBytes == (before.pcieReceivedBytes ?? 0) + value)
        }
        #expect(sampler.shared.snapshot.samples[0].energyResets == 2)
    }
}
