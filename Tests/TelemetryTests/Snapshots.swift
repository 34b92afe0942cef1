import Foundation
import GPU
import Testing

/// Snapshots with a value in every place, and fixed ones for the golden files.
enum Snapshots {
    static let uuid = "GPU-11111111-2222-3333-4444-555555555555"

    static func device(_ index: Int, uuid: String? = nil) -> GPUDevice {
        GPUDevice(
            uuid: uuid ?? "GPU-00000000-0000-0000-0000-00000000000\(index)", index: index,
            name: "NVIDIA H100 80GB HBM3",
            pciBusID: "00000000:\(index)B:00.0", memoryTotalBytes: 81559 << 20, vbiosVersion: "96.00.89.00.01",
            minorNumber: index)
    }

    static func sample(_ uuid: String) -> GPUSample {
        var sample = GPUSample(uuid: uuid, boottime: 1_000_000_000, state: .ok)
        sample.utilizationGPUPercent = 73
        sample.utilizationMemoryPercent = 41
        sample.memoryUsedBytes = 12345 << 20
        sample.memoryFreeBytes = 68663 << 20
        sample.memoryReservedBytes = 551 << 20
        sample.powerMilliwatts = 456_789
        sample.energyMillijoules = 123_456_789
        sample.temperatureCelsius = 61
        sample.memoryTemperatureCelsius = 66
        sample.smClockMHz = 1755
        sample.memoryClockMHz = 2619
        sample.eccUncorrected = 2
        sample.clockEventReasons = 4
        sample.recoveryAction = 0
        sample.busy = GPUBusyTime(
            busyNanoseconds: 7_300_000_000, observedNanoseconds: 10_000_000_000, unobservedNanoseconds: 500_000_000)
        sample.memoryBusy = GPUBusyTime(busyNanoseconds: 4_100_000_000, observedNanoseconds: 10_000_000_000)
        var activity = GPUActivity()
        activity.graphicsPercent = 90
        activity.smPercent = 80.5
        activity.smOccupancyPercent = 40
        activity.tensorPercent = 33.25
        activity.dramPercent = 55
        activity.fp64Percent = 0
        activity.fp32Percent = 12
        activity.fp16Percent = 1
        activity.pcieTransmitBytesPerSecond = 7_340_032
        activity.pcieReceiveBytesPerSecond = 1024
        activity.nvlinkTransmitBytesPerSecond = 2e9
        activity.nvlinkReceiveBytesPerSecond = 1e9
        sample.activity = activity
        sample.energyUsedMillijoules = 4_567_890
        sample.energyResets = 0
        sample.pcieTransmittedBytes = 1 << 40
        sample.pcieReceivedBytes = 1 << 30
        var details = GPUDetails(asOf: 900_000_000)
        details.encoderPercent = 11
        details.decoderPercent = 22
        details.powerLimitMilliwatts = 700_000
        details.eccCorrected = 3
        details.eccCorrectedAggregate = 4
        details.eccUncorrectedAggregate = 5
        details.retiredPagesSingleBit = 1
        details.retiredPagesDoubleBit = 0
        details.isRetirementPending = false
        details.remappedRowsCorrectable = 6
        details.remappedRowsUncorrectable = 7
        details.isRemapPending = false
        details.isRemapFailed = false
        details.throttledNanoseconds = [
            "power": 8_000_000_000, "thermal": 9, "sync_boost": 0, "board_limit": 0, "low_utilization": 0,
            "reliability": 0,
        ]
        details.pcieReplays = 10
        details.pcieGeneration = 5
        details.pcieWidth = 16
        details.nvlinkCount = 18
        details.nvlinkTransmittedBytes = 4096
        details.nvlinkReceivedBytes = 8192
        details.nvlinkCRCFlitErrors = 1
        details.nvlinkCRCDataErrors = 2
        details.nvlinkReplayErrors = 3
        details.nvlinkRecoveryErrors = 4
        details.fabricState = 3
        details.isVGPULicensed = true
        details.processes = [GPUProcess(pid: 42, kind: .compute, memoryBytes: 1 << 30, name: "python")]
        sample.details = details
        return sample
    }

    /// One whole GPU with everything, and a name that needs escaping.
    static var full: GPUSnapshot {
        let device = GPUDevice(
            uuid: uuid, index: 0, name: "NVIDIA \"H100\" \\ 80GB", pciBusID: "00000000:1B:00.0",
            memoryTotalBytes: 81559 << 20,
            vbiosVersion: "96.00.89.00.01", minorNumber: 0)
        return GPUSnapshot(
            state: .ok, driverVersion: "570.86.15", nvmlVersion: "12.570.86.15", cudaDriverVersion: "12.8",
            devices: [device], samples: [sample(uuid)],
            events: [GPUEvent(serial: 1, uuid: uuid, xid: 79, boottime: 900_000_000)],
            xidCounts: [
                GPUXIDCount(uuid: uuid, xid: 31, count: 4, lastBoottime: 800_000_000),
                GPUXIDCount(uuid: uuid, xid: 79, count: 1, lastBoottime: 900_000_000),
            ], eventCounts: ["ecc_single_bit": 3], generation: 1, tick: 10, asOf: 1_000_000_000)
    }

    /// A GPU that is split, with two compute instances in one GPU instance, and a lost one.
    static var split: GPUSnapshot {
        let parent = GPUDevice(
            uuid: uuid, index: 0, name: "NVIDIA H100 80GB HBM3", pciBusID: "00000000:1B:00.0", isPartitioned: true,
            memoryTotalBytes: 81559 << 20)
        let instances = (0..<3).map { index in
            GPUDevice(
                uuid: "MIG-aaaaaaaa-0000-0000-0000-00000000000\(index)", index: index,
                name: "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
                pciBusID: "00000000:1B:00.0", parentUUID: uuid, migProfile: index < 2 ? "1c.2g.20gb" : "1g.10gb",
                migGPUInstanceID: index < 2 ? 3 : 9, migComputeInstanceID: index < 2 ? index : 0,
                memoryTotalBytes: 9856 << 20)
        }
        var parentSample = GPUSample(uuid: uuid, boottime: 1_000_000_000, state: .ok)
        parentSample.powerMilliwatts = 100_000
        parentSample.temperatureCelsius = 50
        let samples = instances.map { device in
            var sample = GPUSample(uuid: device.uuid, boottime: 1_000_000_000, state: .ok)
            sample.memoryUsedBytes = 1000 << 20
            sample.activity = GPUActivity()
            sample.activity?.graphicsPercent = 50
            sample.busy = GPUBusyTime(method: .profiling, busyNanoseconds: 1, observedNanoseconds: 2)
            return sample
        }
        let lost = device(1)
        return GPUSnapshot(
            state: .ok, driverVersion: "570.86.15", devices: [parent] + instances + [lost],
            samples: [parentSample] + samples + [GPUSample(uuid: lost.uuid, boottime: 1_000_000_000, state: .lost)],
            generation: 1,
            tick: 3, asOf: 1_000_000_000)
    }

    static func eight() -> GPUSnapshot {
        let devices = (0..<8).map { device($0) }
        return GPUSnapshot(
            state: .ok, driverVersion: "570.86.15", devices: devices, samples: devices.map { sample($0.uuid) },
            generation: 1, tick: 1,
            asOf: 1_000_000_000)
    }
}

/// Files that programs read, reviewed in diffs. PACKET_WRITE_GOLDEN=1 writes them anew.
enum Golden {
    /// Bytes that are no text, as base64.
    static func expect(binary bytes: [UInt8], _ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws
    {
        let lines = Data(bytes).base64EncodedString(options: [.lineLength76Characters, .endLineWithLineFeed]) + "\n"
        try expect(Array(lines.utf8), name, sourceLocation: sourceLocation)
    }

    static func expect(_ bytes: [UInt8], _ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")
        let file = root.appending(path: name)
        if ProcessInfo.processInfo.environment["PACKET_WRITE_GOLDEN"] != nil { try Data(bytes).write(to: file) }
        let known = try [UInt8](Data(contentsOf: file))
        #expect(known == bytes, "Golden/\(name) differs", sourceLocation: sourceLocation)
    }
}
