import Glibc
import Testing

@Suite struct SimulationTests {
    /// PACKET_SIMULATION_SEEDS=N runs more.
    static let seeds = getenv("PACKET_SIMULATION_SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 1500

    @Test func nothingDurableIsLostAndNothingIsCountedTwice() async {
        let seeds = Self.seeds
        let reports = await withTaskGroup(of: [Report].self) { group in
            for part in 0..<UInt64(2) {
                group.addTask {
                    stride(from: part, to: seeds, by: 2).map { seed in
                        var world = World(seed: seed)
                        var report = world.run()
                        report.violations = report.violations.map { "seed \(seed): \($0)" }
                        return report
                    }
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        let violations = reports.flatMap(\.violations)
        let count = violations.count
        #expect(count == 0, "\(violations.prefix(12).joined(separator: "\n"))")
        var fired: [String: Int] = [:]
        for report in reports { fired.merge(report.fired, uniquingKeysWith: +) }
        let hours = reports.reduce(0) { $0 + $1.simulatedMilliseconds } / 3_600_000
        print("\(seeds) seeds, \(hours) pod hours, \(reports.reduce(0) { $0 + $1.records }) records")
        for (fault, count) in fired.sorted(by: { $0.key < $1.key }) { print("  \(fault): \(count)") }
        guard seeds >= 500 else { return }
        let all =
            SimulatedDisk.Fault.allCases.map { "disk " + $0.rawValue }
            + SimulatedControlPlane.Fault.allCases.map { "network " + $0.rawValue }
            + ["wall step", "device lost", "device vanished", "energy reset", "stall", "reboot"].map { "world " + $0 }
        for fault in all { #expect(fired[fault, default: 0] >= 10, "\(fault) hardly happened") }
    }

    /// For looking into a failure: PACKET_SIMULATION_SEED=N.
    @Test func oneSeedAlone() {
        guard let seed = getenv("PACKET_SIMULATION_SEED").flatMap({ UInt64(String(cString: $0)) }) else { return }
        var world = World(seed: seed)
        let violations = world.run().violations
        #expect(violations.count == 0, "\(violations.joined(separator: "\n"))")
    }

    @Test(arguments: [3, 7, 1001, 40_004] as [UInt64]) func theSameSeedTellsTheSameStory(seed: UInt64) {
        var first = World(seed: seed)
        var second = World(seed: seed)
        #expect(first.run() == second.run())
    }

    @Test(arguments: PlantedBug.allCases) func aPlantedBugIsFound(bug: PlantedBug) {
        for seed in 0..<400 as Range<UInt64> {
            var world = World(seed: seed, bug: bug)
            if let violation = world.run().violations.first {
                print("\(bug) is found by seed \(seed): \(violation.prefix(300))")
                return
            }
        }
        Issue.record("400 seeds did not notice \(bug)")
    }
}
