import Boot
import Testing

private func volume(_ state: BootVolume.State, expected: Bool = true) -> BootVolume {
    BootVolume(name: "v", mountPoint: "/mnt/v", state: state, isExpected: expected)
}

private func at(_ seconds: UInt64) -> BootSequence.Moment {
    .init(boottime: 1_000_000_000 * (100 + seconds), wall: 1_700_000_000_000 + Int64(seconds) * 1000)
}

private func facts(
    _ volumes: [BootVolume], primary: Int? = 0, why: String = "the only volume"
) -> BootSequence.Event {
    .mounts(MountFacts(volumes: volumes, primary: primary, why: why))
}

private func record(_ state: SetupRecord.State, reason: String? = nil) -> SetupRecord {
    SetupRecord(state: state, containerStart: "x", reason: reason)
}

private let applied = BootSequence.Event.environmentApplied(detail: "9 variables", problems: [])

@Suite struct SequenceTests {
    @Test func aVolumeThatIsThereIsUsedAtOnce() {
        var sequence = BootSequence(waitSeconds: 30, setupEnabled: true)
        #expect(sequence.handle(.start, at: at(0)) == [.inspectMounts])
        #expect(
            sequence.handle(facts([volume(.ready)]), at: at(0))
                == [.applyEnvironment(volume(.ready), why: "the only volume")])
        #expect(sequence.handle(applied, at: at(1)) == [.runSetup(volume(.ready))])
        #expect(sequence.report.state == .setup)
        #expect(sequence.handle(.setup(record(.succeeded)), at: at(5)).isEmpty)
        #expect(sequence.report.state == .ready)
        #expect(sequence.report.steps.map(\.name) == ["mounts", "volume", "environment", "setup"])
        #expect(sequence.report.steps.map(\.state) == [.done, .done, .done, .done])
        #expect(sequence.report.steps.last?.durationMilliseconds == 4000)
        #expect(sequence.report.steps.first?.startedAt == "2023-11-14T22:13:20Z")
    }

    @Test func anExpectedVolumeIsWaitedForUntilTheDeadline() {
        var sequence = BootSequence(waitSeconds: 30, setupEnabled: true)
        let missing = facts([volume(.missing)], primary: nil)
        _ = sequence.handle(.start, at: at(0))
        #expect(sequence.handle(missing, at: at(0)) == [.waitForMounts(milliseconds: 30_000)])
        #expect(sequence.report.state == .waiting)
        #expect(sequence.handle(.mountsMayHaveChanged, at: at(10)) == [.inspectMounts])
        #expect(sequence.handle(missing, at: at(10)) == [.waitForMounts(milliseconds: 20_000)])
        #expect(
            sequence.handle(missing, at: at(30))
                == [.applyEnvironment(nil, why: "v is not mounted at /mnt/v after 30 s")])
        _ = sequence.handle(applied, at: at(30))
        _ = sequence.handle(.setup(record(.absent, reason: "there is no volume")), at: at(30))
        #expect(sequence.report.state == .degraded)
        #expect(sequence.report.steps[1].state == .failed)
        #expect(sequence.report.steps[1].durationMilliseconds == 30_000)
    }

    @Test func aVolumeThatComesLateIsStillUsed() {
        var sequence = BootSequence(waitSeconds: 30, setupEnabled: true)
        _ = sequence.handle(.start, at: at(0))
        _ = sequence.handle(facts([volume(.missing)], primary: nil), at: at(0))
        #expect(
            sequence.handle(facts([volume(.ready)]), at: at(7))
                == [.applyEnvironment(volume(.ready), why: "the only volume")])
        _ = sequence.handle(applied, at: at(7))
        _ = sequence.handle(.setup(record(.absent)), at: at(7))
        #expect(sequence.report.state == .ready)
        #expect(sequence.report.steps.last?.state == .skipped)
    }

    @Test func aStuckVolumeIsLookedAtEverySecondAndNeverUsed() {
        var sequence = BootSequence(waitSeconds: 30, setupEnabled: true)
        _ = sequence.handle(.start, at: at(0))
        #expect(sequence.handle(facts([volume(.stuck)]), at: at(0)) == [.waitForMounts(milliseconds: 1000)])
        #expect(
            sequence.handle(facts([volume(.stuck)]), at: at(31))
                == [.applyEnvironment(nil, why: "v at /mnt/v does not answer after 30 s")])
    }

    @Test func withoutAnyVolumeTheRestGoesOn() {
        var sequence = BootSequence(waitSeconds: 30, setupEnabled: true)
        _ = sequence.handle(.start, at: at(0))
        let none = facts([], primary: nil, why: "no volume is mounted")
        #expect(sequence.handle(none, at: at(0)) == [.applyEnvironment(nil, why: "no volume is mounted")])
        #expect(sequence.handle(applied, at: at(0)) == [.runSetup(nil)])
        _ = sequence.handle(.setup(record(.absent)), at: at(0))
        #expect(sequence.report.state == .degraded)
        #expect(sequence.report.steps[1].detail?.contains("lost with the pod") == true)
    }

    @Test func aReadOnlyVolumeGetsNoEnvironmentButItsScript() {
        var sequence = BootSequence(waitSeconds: 30, setupEnabled: true)
        _ = sequence.handle(.start, at: at(0))
        #expect(
            sequence.handle(facts([volume(.readOnly)]), at: at(0))
                == [.applyEnvironment(nil, why: "v cannot be written")])
        #expect(sequence.handle(applied, at: at(0)) == [.runSetup(volume(.readOnly))])
    }

    @Test(arguments: [.refused, .failed, .timeout] as [SetupRecord.State])
    func aScriptThatFailsDegradesAndStopsNothing(state: SetupRecord.State) {
        var sequence = BootSequence(waitSeconds: 30, setupEnabled: true)
        _ = sequence.handle(.start, at: at(0))
        _ = sequence.handle(facts([volume(.ready)]), at: at(0))
        _ = sequence.handle(applied, at: at(0))
        _ = sequence.handle(.setup(record(.stalled, reason: "silent")), at: at(1))
        #expect(sequence.report.steps.last?.state == .running)
        #expect(sequence.report.steps.last?.detail == "silent")
        _ = sequence.handle(.setup(record(state, reason: "because")), at: at(2))
        #expect(sequence.report.state == .degraded)
        #expect(sequence.report.steps.last?.detail == "because")
    }

    @Test func unreadableMountsAndABrokenEnvironmentAreReportedAndTheScriptStepStillComes() {
        var sequence = BootSequence(waitSeconds: 30, setupEnabled: true)
        _ = sequence.handle(.start, at: at(0))
        #expect(
            sequence.handle(.mountsFailed("no /proc"), at: at(0))
                == [.applyEnvironment(nil, why: "the mounts cannot be read: no /proc")])
        #expect(
            sequence.handle(.environmentApplied(detail: nil, problems: ["disk full"]), at: at(0)) == [.runSetup(nil)])
        _ = sequence.handle(.setup(record(.absent)), at: at(0))
        #expect(sequence.report.state == .failed, "nothing at all worked")
    }

    @Test func setupCanBeSwitchedOff() {
        var sequence = BootSequence(waitSeconds: 0, setupEnabled: false)
        _ = sequence.handle(.start, at: at(0))
        _ = sequence.handle(facts([volume(.ready)]), at: at(0))
        #expect(sequence.handle(applied, at: at(0)).isEmpty)
        #expect(sequence.report.state == .ready)
    }

    @Test func everyOrderOfMountStatesEndsAndNeverUsesADeadVolume() {
        var generator = SystemRandomNumberGenerator()
        let states: [BootVolume.State] = [.ready, .readOnly, .stuck, .missing]
        for _ in 0..<500 {
            var sequence = BootSequence(waitSeconds: Int.random(in: 0...5, using: &generator), setupEnabled: true)
            var actions = sequence.handle(.start, at: at(0))
            var second: UInt64 = 0
            while let action = actions.first, second < 50 {
                second += 1
                switch action {
                case .inspectMounts:
                    let volumes = (0..<Int.random(in: 0...3, using: &generator)).map { _ in
                        volume(states.randomElement(using: &generator) ?? .ready, expected: .random(using: &generator))
                    }
                    let primary = volumes.indices.randomElement(using: &generator)
                    let found = facts(volumes, primary: Bool.random(using: &generator) ? primary : nil)
                    actions = sequence.handle(found, at: at(second))
                case .waitForMounts: actions = sequence.handle(.mountsMayHaveChanged, at: at(second))
                case .applyEnvironment(let volume, _):
                    #expect(volume.map { $0.state == .ready } ?? true)
                    actions = sequence.handle(applied, at: at(second))
                case .runSetup(let volume):
                    #expect(volume?.state != .stuck && volume?.state != .missing)
                    actions = sequence.handle(.setup(record(.succeeded)), at: at(second))
                }
            }
            #expect(actions.isEmpty)
            #expect(sequence.report.state.isFinal)
            #expect(sequence.report.steps.allSatisfy { $0.state != .running && $0.durationMilliseconds != nil })
        }
    }
}
