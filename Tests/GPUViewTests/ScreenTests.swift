import Foundation
import GPU
import Testing

@testable import GPUView

@Suite struct ScreenTests {
    private static func snapshot(_ count: Int, tick: UInt64, instances: Int = 0) -> GPUSnapshot {
        var devices: [GPUDevice] = []
        var samples: [GPUSample] = []
        for index in 0..<count {
            let uuid = "GPU-00000000-0000-0000-0000-0000000000\(index < 10 ? "0" : "")\(index)"
            devices.append(
                GPUDevice(
                    uuid: uuid, index: index, name: "NVIDIA H100 80GB HBM3", isPartitioned: instances > 0,
                    memoryTotalBytes: 81559 << 20))
            var sample = GPUSample(uuid: uuid, boottime: 0, state: .ok)
            if instances == 0 { sample.utilizationGPUPercent = Int(tick * 7 + UInt64(index) * 13) % 101 }
            sample.memoryUsedBytes = UInt64(10_000 * (index + 1)) << 20
            sample.powerMilliwatts = 456_789
            sample.temperatureCelsius = 61 + index * 3
            sample.smClockMHz = 1755
            sample.clockEventReasons = index == 0 ? 4 : 0
            sample.activity = GPUActivity()
            sample.activity?.tensorPercent = 33.3
            sample.activity?.dramPercent = 55
            sample.details = GPUDetails(asOf: 0)
            sample.details?.powerLimitMilliwatts = 700_000
            samples.append(sample)
            for slot in 0..<instances {
                let device = GPUDevice(
                    uuid: "MIG-\(index)-\(slot)", index: slot, name: "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
                    parentUUID: uuid,
                    migProfile: "1g.10gb", migGPUInstanceID: slot, memoryTotalBytes: 9856 << 20)
                devices.append(device)
                var own = GPUSample(uuid: device.uuid, boottime: 0, state: .ok)
                own.memoryUsedBytes = 1000 << 20
                own.activity = GPUActivity()
                own.activity?.graphicsPercent = Double(slot * 20)
                samples.append(own)
            }
        }
        return GPUSnapshot(
            state: .ok, driverVersion: "570.86.15", cudaDriverVersion: "12.8", devices: devices, samples: samples,
            tick: tick,
            asOf: 100_000_000_000)
    }

    private static func history(
        _ count: Int, ticks: UInt64 = 90, instances: Int = 0, _ change: (inout GPUSnapshot) -> Void = { _ in }
    ) -> GPUHistory {
        var history = GPUHistory()
        for tick in 1...ticks {
            var snapshot = snapshot(count, tick: tick, instances: instances)
            if tick == ticks { change(&snapshot) }
            history.add(snapshot)
        }
        return history
    }

    private static func expectGolden(
        _ lines: [StyledLine], _ name: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let text = lines.map(\.plain).joined(separator: "\n") + "\n"
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/\(name)")
        if ProcessInfo.processInfo.environment["PACKET_WRITE_GOLDEN"] != nil { try Data(text.utf8).write(to: file) }
        #expect(
            try String(contentsOf: file, encoding: .utf8) == text, "Golden/\(name) differs",
            sourceLocation: sourceLocation)
    }

    private static func withTrouble(_ snapshot: inout GPUSnapshot) {
        snapshot.samples[1] = GPUSample(uuid: snapshot.samples[1].uuid, boottime: 0, state: .lost)
        snapshot.samples[0].eccUncorrected = 2
        snapshot.events = [
            GPUEvent(serial: 1, uuid: snapshot.devices[0].uuid, xid: 31, boottime: 40_000_000_000),
            GPUEvent(serial: 2, uuid: snapshot.devices[1].uuid, xid: 79, boottime: 90_000_000_000),
        ]
    }

    @Test func theScreensAreAsReviewed() throws {
        try Self.expectGolden(
            GPUScreen(columns: 80, rows: 24).render(Self.history(2, Self.withTrouble), clock: "12:34:56"),
            "two-80x24.txt")
        try Self.expectGolden(
            GPUScreen(columns: 80, rows: 24).render(Self.history(8), clock: "12:34:56"), "eight-80x24.txt")
        try Self.expectGolden(
            GPUScreen(columns: 132, rows: 43).render(Self.history(8, Self.withTrouble), clock: "12:34:56"),
            "eight-132x43.txt")
        try Self.expectGolden(
            GPUScreen(columns: 80, rows: 24, isUnicode: false).render(Self.history(1, instances: 7), clock: "12:34:56"),
            "mig-80x24.txt")
        var hung = Self.history(1)
        var snapshot = Self.snapshot(1, tick: 91)
        snapshot.state = .hung
        snapshot.reason = "the driver has not answered (fields) for 12 s; the node needs a look"
        hung.add(snapshot)
        try Self.expectGolden(GPUScreen(columns: 80, rows: 24).render(hung, clock: "12:34:56"), "hung-80x24.txt")
    }

    @Test(arguments: [(20, 5), (40, 10), (80, 24), (81, 25), (120, 30), (200, 60), (1, 1)])
    func everySizeIsFilledExactlyAndNeverOverflows(_ columns: Int, _ rows: Int) {
        for (count, instances) in [(0, 0), (1, 0), (8, 0), (16, 0), (8, 7)] {
            let screen = GPUScreen(columns: columns, rows: rows)
            var history = GPUHistory()
            history.add(Self.snapshot(count, tick: 1, instances: instances))
            let lines = screen.render(history, clock: "12:34:56")
            #expect(lines.count == max(5, rows))
            #expect(lines.allSatisfy { $0.width <= max(20, columns) })
        }
    }

    @Test func whatDoesNotFitIsCounted() {
        let lines = GPUScreen(columns: 80, rows: 24).render(Self.history(8, instances: 7), clock: "12:34:56").map(
            \.plain)
        #expect(lines.contains { $0.hasPrefix("and ") && $0.contains("more") })
        #expect(lines.last == "q quit")
    }

    @Test func withoutColourNothingButTextIsWritten() {
        let lines = GPUScreen(columns: 80, rows: 24).render(Self.history(2, Self.withTrouble), clock: "12:34:56")
        #expect(lines.allSatisfy { !$0.plain.contains("\u{1b}") })
        #expect(lines.contains { $0.terminal.contains("\u{1b}[31m") })
    }

    @Test func historyIsBoundedAndForgetsWhatIsGone() {
        var history = Self.history(2, ticks: 400)
        let uuid = history.snapshot?.devices[1].uuid ?? ""
        #expect(history.percents(of: uuid).count == GPUHistory.capacity)
        history.add(Self.snapshot(2, tick: 400))
        #expect(history.percents(of: uuid).count == GPUHistory.capacity)
        history.add(Self.snapshot(1, tick: 401))
        #expect(history.percents(of: uuid).isEmpty)
    }

    @Test func theTableIsAsReviewed() throws {
        var trouble = Self.snapshot(2, tick: 5)
        Self.withTrouble(&trouble)
        try Self.expectGolden(GPUTable.lines(trouble, width: 160), "table.txt")
        try Self.expectGolden(GPUTable.lines(Self.snapshot(1, tick: 5, instances: 2), width: 160), "table-mig.txt")
        let none = GPUSnapshot(state: .noLibrary, reason: "libnvidia-ml.so.1: cannot open shared object file")
        try Self.expectGolden(GPUTable.lines(none, width: 200), "table-no-library.txt")
        #expect(GPUTable.lines(trouble, width: 40).allSatisfy { $0.width <= 40 })
    }
}
