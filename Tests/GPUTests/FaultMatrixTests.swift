import CNVML
import Glibc
import LinuxKit
import Testing

@testable import GPU

/// Every function the agent calls, as it is named in the library.
let functionsOfNVML = [
    "nvmlInitWithFlags", "nvmlInit_v2", "nvmlInit", "nvmlShutdown", "nvmlSystemGetDriverVersion",
    "nvmlSystemGetNVMLVersion", "nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion",
    "nvmlDeviceGetCount_v2", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetUUID", "nvmlDeviceGetName", "nvmlDeviceGetVbiosVersion", "nvmlDeviceGetMinorNumber",
    "nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetMigMode", "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex", "nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetComputeInstanceId",
    "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetSamples", "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetFieldValues", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature", "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons",
    "nvmlDeviceGetEncoderUtilization", "nvmlDeviceGetDecoderUtilization", "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetCurrPcieLinkGeneration", "nvmlDeviceGetCurrPcieLinkWidth", "nvmlDeviceGetGpuFabricInfoV",
    "nvmlDeviceGetGpuFabricInfo", "nvmlDeviceGetVirtualizationMode", "nvmlDeviceGetGridLicensableFeatures_v4",
    "nvmlDeviceGetGridLicensableFeatures_v3", "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2",
    "nvmlDeviceGetGraphicsRunningProcesses", "nvmlDeviceGetMPSComputeRunningProcesses_v3",
    "nvmlDeviceGetMPSComputeRunningProcesses_v2", "nvmlDeviceGetMPSComputeRunningProcesses",
    "nvmlGpmQueryDeviceSupport", "nvmlGpmSampleAlloc", "nvmlGpmSampleFree", "nvmlGpmSampleGet", "nvmlGpmMigSampleGet",
    "nvmlGpmMetricsGet", "nvmlEventSetCreate", "nvmlDeviceGetSupportedEventTypes", "nvmlDeviceRegisterEvents",
    "nvmlEventSetWait_v2", "nvmlEventSetWait", "nvmlEventSetFree",
]

/// Without these nothing can be read at all, whatever else works.
private let identity: Set<String> = [
    "nvmlInitWithFlags", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID",
]

@Suite struct FaultMatrixTests {
    private static let scenario = """
        gpu.count = 2
        gpu.*.utilization.gpu = 50
        gpu.0.power.mw = 111000
        gpu.1.power.mw = 222000
        gpu.1.mig.mode = true
        gpu.1.mig.0.gi = 3
        gpu.1.mig.0.memory.used_mib = 100
        gpu.0.processes = 1:10

        """

    @Test func theListOfFunctionsIsWhatTheAgentLooksUp() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let source = try LocalFile.readText("/\(root)/Sources/GPU/NVMLFunctions.swift")
        let found = source.split(separator: "\"").map { String($0) }.filter {
            $0.hasPrefix("nvml") && !$0.contains(" ")
        }
        #expect(Set(found).symmetricDifference(functionsOfNVML) == [])
    }

    /// Each return code that any header names, and two that none does.
    @Test(arguments: functionsOfNVML) func everyReturnCodeFromThisCallIsSurvived(_ function: String) throws {
        let driver = try SimulatedDriver(Self.scenario)
        let sampler = try DrivenSampler(driver) {
            $0.lostRetryMilliseconds = 1000
            $0.slowIntervalMilliseconds = 1000
            $0.enumerationIntervalMilliseconds = 5000
            $0.probeDevice = { _ in 0 }
        }
        for code in Array(1...30) + [31, 999, 4711] {
            try driver.change(Self.scenario + "result.\(function) = \(code)\n")
            let failed = sampler.tick(4)
            if failed.state == .ok {
                #expect(failed.reason.isEmpty)
                #expect(failed.samples.count == failed.devices.count)
            } else {
                #expect(!failed.reason.isEmpty, "\(code)")
            }
            // What concerns one value keeps its device, and the others, readable.
            let concernsAll = [1, 9, 12, 15, 16, 17, 18, 28].contains(code)
            if !identity.contains(function), !concernsAll {
                #expect(failed.state == .ok, "\(function) = \(code): \(failed.reason)")
                #expect(failed.samples.first?.state == .ok, "\(function) = \(code)")
                if !function.contains("Memory") {
                    #expect(failed.samples.first?.memoryUsedBytes == 0, "\(function) = \(code)")
                }
            }
            for sample in failed.samples { Self.expectPlausible(sample) }
            try driver.change(Self.scenario)
            // Pauses between tries double up to 20 ms here, looks at lost GPUs to 16 s.
            let healed = sampler.tick(atMost: 40) { $0.state == .ok && $0.samples.map(\.state) == [.ok, .ok, .ok] }
            #expect(healed.state == .ok && healed.samples.map(\.state) == [.ok, .ok, .ok], "\(function) = \(code)")
        }
        sampler.end()
        let left = try driver.outstanding()
        #expect(left == (0, 0))
    }

    /// A driver that lacks this one function and has all others.
    @Test(arguments: functionsOfNVML) func thisFunctionMayBeMissing(_ function: String) throws {
        let driver = try SimulatedDriver(Self.scenario, hiding: function)
        let sampler = try DrivenSampler(driver) { $0.slowIntervalMilliseconds = 1000 }
        let snapshot = sampler.tick(3)
        if function == "nvmlShutdown" || function == "nvmlDeviceGetUUID" {
            #expect(snapshot.state == .error && snapshot.reason.contains(function))
            return
        }
        #expect(snapshot.state == .ok, "\(snapshot.reason)")
        let sample = try #require(snapshot.samples.first)
        #expect(sample.state == .ok)
        // Each has a fallback, or is missed alone.
        #expect(sample.memoryUsedBytes != nil)
        #expect(sample.utilizationGPUPercent == 50)
        #expect(sample.powerMilliwatts == 111000)
        #expect(sample.temperatureCelsius == 30)
        #expect(sample.clockEventReasons == 1)
        #expect(sample.energyMillijoules != nil)
        #expect((sample.smClockMHz == nil) == (function == "nvmlDeviceGetClockInfo"))
        #expect((sample.eccUncorrected == nil) == (function == "nvmlDeviceGetFieldValues"))
        let needed = ["nvmlGpmQueryDeviceSupport", "nvmlGpmSampleAlloc", "nvmlGpmSampleGet", "nvmlGpmMetricsGet"]
        #expect((sample.activity == nil) == needed.contains(function))
        let instances = [
            "nvmlDeviceGetMigMode", "nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceGetMigDeviceHandleByIndex",
        ]
        #expect(snapshot.devices.count == (instances.contains(function) ? 2 : 3))
    }

    private static func expectPlausible(_ sample: GPUSample) {
        #expect(sample.memoryUsedBytes ?? 0 < 1 << 40)
        #expect(sample.powerMilliwatts ?? 0 < 1_000_000)
        #expect(sample.energyMillijoules ?? 0 < 1 << 50)
        #expect(sample.eccUncorrected ?? 0 == 0)
        #expect((-60...250).contains(sample.temperatureCelsius ?? 0))
        #expect((0...100).contains(sample.utilizationGPUPercent ?? 0))
    }

    // MARK: process lists

    @Test(arguments: [("R450", 16), ("R470", 24), ("R535.43", 32), ("R580", 24)])
    func processesAreReadInTheLayoutOfTheDriver(_ level: String, _ stride: Int) throws {
        let driver = try SimulatedDriver("gpu.0.processes = 100:512 200:unavailable 4194304:64\n", level: level)
        let sampler = try DrivenSampler(driver) { $0.processDirectory = driver.directory }
        let processes = try #require(sampler.tick().samples.first?.details?.processes)
        #expect(processes.map(\.pid) == [100, 200, 4_194_304])
        #expect(processes.map(\.memoryBytes) == [512 << 20, nil, 64 << 20])
        #expect(processes.allSatisfy { $0.name == nil && $0.kind == .compute }, "no pid is matched blindly")
    }

    @Test func aListThatGrowsBetweenTwoCallsIsReadInTheEnd() throws {
        let driver = try SimulatedDriver(
            "processes.growing = 3\ngpu.0.processes = \((1...60).map { "\($0):1" }.joined(separator: " "))\n")
        let sampler = try DrivenSampler(driver) { $0.processDirectory = driver.directory }
        let processes = sampler.tick().samples.first?.details?.processes
        #expect(processes?.count == 60)
    }

    @Test func aListThatNeverStopsGrowingIsLeftOut() throws {
        let driver = try SimulatedDriver("processes.growing = 1000000\ngpu.0.processes = 1:1\n")
        let sampler = try DrivenSampler(driver)
        let sample = try #require(sampler.tick().samples.first)
        #expect(sample.state == .ok && sample.details?.processes == nil)
        #expect(try driver.calls("nvmlDeviceGetComputeRunningProcesses_v3") == UInt64(NVMLLibrary.listAttempts))
    }

    @Test func aLayoutNobodyKnowsIsLeftOut() {
        var buffer = [UInt8](repeating: NVMLProcessList.pattern, count: 256)
        for index in 0..<40 { buffer[index] = 1 }
        buffer.withUnsafeBytes { #expect(NVMLProcessList.decode($0, count: 1, memoryTotal: nil) == nil) }
        // The right length, but no pid is that large.
        var other = [UInt8](repeating: NVMLProcessList.pattern, count: 256)
        for index in 0..<24 { other[index] = 0xFF }
        other.withUnsafeBytes { #expect(NVMLProcessList.decode($0, count: 1, memoryTotal: nil) == nil) }
    }

    @Test func aProcessOfThisContainerIsNamedOnlyWhenItHasTheDeviceOpen() throws {
        let driver = try SimulatedDriver("gpu.0.processes = 41:1 42:1 43:1\n")
        let proc = driver.directory + "/proc"
        defer {
            _ = try? ChildProcess.capture(
                .init(executable: "/bin/rm", arguments: ["-rf", proc], environment: [:]), milliseconds: 10_000)
        }
        for (pid, target) in [(42, "/dev/nvidia0"), (43, "/dev/null")] {
            for path in [proc, "\(proc)/\(pid)", "\(proc)/\(pid)/fd"] { mkdir(path, 0o755) }
            try Descriptor(opening: "\(proc)/\(pid)/comm", O_CREAT | O_WRONLY, mode: 0o644).writeAll(
                Array("python\u{1b}\n".utf8))
            #expect(symlink(target, "\(proc)/\(pid)/fd/3") == 0)
        }
        let sampler = try DrivenSampler(driver) { $0.processDirectory = proc }
        let processes = try #require(sampler.tick().samples.first?.details?.processes)
        #expect(processes.map(\.name) == [nil, "python\\x1b", nil])
    }
}
