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

private let examined = BootSequence.Event.examined(detail: "volume x", problems: [])
private let applied = BootSequence.Event.environmentApplied(detail: "9 variables", problems: [])

@Suite struct SequenceTests {
    @Test func aVolumeThatIsThereIsUsedAtOnce() {
        var sequence = BootSequence(.init(waitSeconds: 30))
        #expect(sequence.handle(.start, at: at(0)) == [.inspectMounts])
        #expect(sequence.handle(facts([volume(.ready)]), at: at(0)) == [.examine(volume(.ready))])
        #expect(
            sequence.handle(examined, at: at(0)) == [.applyEnvironment(volume(.ready), why: "the only volume")])
        #expect(sequence.handle(applied, at: at(1)) == [.runSetup(volume(.ready))])
        #expect(sequence.report.state == .setup)
        #expect(sequence.handle(.setup(record(.succeeded)), at: at(5)).isEmpty)
        #expect(sequence.report.state == .ready)
        #expect(sequence.report.steps.map(\.name) == ["mounts", "volume", "identity", "environment", "setup"])
        #expect(sequence.report.steps.allSatisfy { $0.state == .done })
        #expect(sequence.report.steps.last?.durationMilliseconds == 4000)
        #expect(sequence.report.steps.first?.startedAt == "2023-11-14T22:13:20Z")
    }

    @Test func anExpectedVolumeIsWaitedForUntilTheDeadline() {
        var sequence = BootSequence(.init(waitSeconds: 30))
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
        var sequence = BootSequence(.init(waitSeconds: 30))
        _ = sequence.handle(.start, at: at(0))
        _ = sequence.handle(facts([volume(.missing)], primary: nil), at: at(0))
        #expect(sequence.handle(facts([volume(.ready)]), at: at(7)) == [.examine(volume(.ready))])
        _ = sequence.handle(examined, at: at(7))
        _ = sequence.handle(applied, at: at(7))
        _ = sequence.handle(.setup(record(.absent)), at: at(7))
        #expect(sequence.report.state == .ready)
        #expect(sequence.report.steps.last?.state == .skipped)
    }

    @Test func aStuckVolumeIsLookedAtEverySecondAndNeverUsed() {
        var sequence = BootSequence(.init(waitSeconds: 30))
        _ = sequence.handle(.start, at: at(0))
        #expect(sequence.handle(facts([volume(.stuck)]), at: at(0)) == [.waitForMounts(milliseconds: 1000)])
        #expect(
            sequence.handle(facts([volume(.stuck)]), at: at(31))
                == [.applyEnvironment(nil, why: "v at /mnt/v does not answer after 30 s")])
    }

    @Test func withoutAnyVolumeTheRestGoesOn() {
        var sequence = BootSequence(.init(waitSeconds: 30))
        _ = sequence.handle(.start, at: at(0))
        let none = facts([], primary: nil, why: "no volume is mounted")
        #expect(sequence.handle(none, at: at(0)) == [.applyEnvironment(nil, why: "no volume is mounted")])
        #expect(sequence.handle(applied, at: at(0)) == [.runSetup(nil)])
        _ = sequence.handle(.setup(record(.absent)), at: at(0))
        #expect(sequence.report.state == .degraded)
        #expect(sequence.report.steps[1].detail?.contains("lost with the pod") == true)
    }

    @Test func aReadOnlyVolumeGetsNoEnvironmentButItsScript() {
        var sequence = BootSequence(.init(waitSeconds: 30))
        _ = sequence.handle(.start, at: at(0))
        #expect(
            sequence.handle(facts([volume(.readOnly)]), at: at(0))
                == [.applyEnvironment(nil, why: "v cannot be written")])
        #expect(sequence.handle(applied, at: at(0)) == [.runSetup(volume(.readOnly))])
    }

    @Test(arguments: [.refused, .failed, .timeout] as [SetupRecord.State])
    func aScriptThatFailsDegradesAndStopsNothing(state: SetupRecord.State) {
        var sequence = BootSequence(.init(waitSeconds: 30))
        _ = sequence.handle(.start, at: at(0))
        _ = sequence.handle(facts([volume(.ready)]), at: at(0))
        _ = sequence.handle(examined, at: at(0))
        _ = sequence.handle(applied, at: at(0))
        _ = sequence.handle(.setup(record(.stalled, reason: "silent")), at: at(1))
        #expect(sequence.report.steps.last?.state == .running)
        #expect(sequence.report.steps.last?.detail == "silent")
        _ = sequence.handle(.setup(record(state, reason: "because")), at: at(2))
        #expect(sequence.report.state == .degraded)
        #expect(sequence.report.steps.last?.detail == "because")
    }

    @Test func unreadableMountsAndABrokenEnvironmentAreReportedAndTheScriptStepStillComes() {
        var sequence = BootSequence(.init(waitSeconds: 30))
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
        var sequence = BootSequence(.init(waitSeconds: 0, off: ["setup": "setup.enabled"]))
        _ = sequence.handle(.start, at: at(0))
        _ = sequence.handle(facts([volume(.ready)]), at: at(0))
        _ = sequence.handle(examined, at: at(0))
        #expect(sequence.handle(applied, at: at(0)).isEmpty)
        #expect(sequence.report.state == .ready)
        #expect(sequence.report.steps.last?.detail == "switched off (setup.enabled)")
    }

    @Test func theControlPlaneMaySwitchStepsOffAndIsNotWaitedForForEver() {
        var sequence = BootSequence(.init(waitSeconds: 30, asksControlPlane: true, restores: true))
        #expect(sequence.handle(.start, at: at(0)) == [.askControlPlane])
        let off = ["identity", "restore", "environment", "setup"].reduce(into: [:]) { $0[$1] = "by the control plane" }
        let left = BootSequence.Options(waitSeconds: 0, off: off, restores: true)
        #expect(sequence.handle(.controlPlane(left), at: at(1)) == [.inspectMounts])
        // Switched off, the environment is still asked: what was put in must be taken out.
        #expect(
            sequence.handle(facts([volume(.ready)]), at: at(1))
                == [.applyEnvironment(volume(.ready), why: "the only volume")])
        #expect(sequence.handle(applied, at: at(1)).isEmpty)
        #expect(sequence.report.state == .ready)
        let skipped = sequence.report.steps.filter { $0.state == .skipped }
        #expect(skipped.map(\.name) == ["identity", "restore", "environment", "setup"])
        #expect(skipped.allSatisfy { $0.detail == "switched off (by the control plane)" })

        var silent = BootSequence(.init(waitSeconds: 30, asksControlPlane: true))
        _ = silent.handle(.start, at: at(0))
        #expect(silent.handle(.controlPlane(nil), at: at(5)) == [.inspectMounts])
        #expect(silent.report.steps.first?.state == .skipped)
        #expect(
            silent.handle(facts([volume(.missing)], primary: nil), at: at(5)) == [.waitForMounts(milliseconds: 30_000)])
    }

    @Test func whatWasCapturedIsRestoredBeforeTheEnvironment() {
        var sequence = BootSequence(.init(waitSeconds: 30, restores: true))
        _ = sequence.handle(.start, at: at(0))
        _ = sequence.handle(facts([volume(.ready)]), at: at(0))
        #expect(sequence.handle(examined, at: at(0)) == [.restore(volume(.ready))])
        #expect(sequence.report.state == .restoring)
        #expect(
            sequence.handle(.restored(detail: nil, problems: ["no room"]), at: at(9))
                == [.applyEnvironment(volume(.ready), why: "the only volume")])
        #expect(sequence.report.state == .setup)
        _ = sequence.handle(applied, at: at(9))
        _ = sequence.handle(.setup(record(.succeeded)), at: at(9))
        #expect(sequence.report.state == .degraded)
    }

    @Test func aFailedBootIsOneLineForWhoLogsIn() {
        var sequence = BootSequence(.init(waitSeconds: 30))
        _ = sequence.handle(.start, at: at(0))
        _ = sequence.handle(facts([volume(.ready)]), at: at(0))
        #expect(sequence.report.failure == nil)
        _ = sequence.handle(.examined(detail: nil, problems: ["pod b uses /mnt/v too"]), at: at(0))
        _ = sequence.handle(applied, at: at(0))
        #expect(sequence.report.failure == nil, "not before it is over")
        _ = sequence.handle(.setup(record(.failed, reason: String(repeating: "x", count: 999))), at: at(1))
        #expect(
            sequence.report.failure
                == "Boot failed at identity: pod b uses /mnt/v too (and 1 more). See: packet-agent status")

        var long = BootSequence(.init(waitSeconds: 30, off: ["identity": "storage.lease"]))
        _ = long.handle(.start, at: at(0))
        _ = long.handle(facts([volume(.ready)]), at: at(0))
        _ = long.handle(applied, at: at(0))
        _ = long.handle(.setup(record(.failed, reason: String(repeating: "x", count: 999))), at: at(1))
        #expect((long.report.failure ?? "").count < 240)
    }

    @Test func everyOrderOfMountStatesEndsAndNeverUsesADeadVolume() {
        var generator = SystemRandomNumberGenerator()
        let states: [BootVolume.State] = [.ready, .readOnly, .stuck, .missing]
        for _ in 0..<500 {
            var sequence = BootSequence(
                .init(waitSeconds: Int.random(in: 0...5, using: &generator), restores: .random(using: &generator)))
            var actions = sequence.handle(.start, at: at(0))
            var second: UInt64 = 0
            while let action = actions.first, second < 50 {
                second += 1
                switch action {
                case .askControlPlane: actions = sequence.handle(.controlPlane(nil), at: at(second))
                case .examine(let volume), .restore(let volume):
                    #expect(volume.state == .ready)
                    let problems = Bool.random(using: &generator) ? ["x"] : []
                    let isExamined = action == .examine(volume)
                    actions = sequence.handle(
                        isExamined
                            ? .examined(detail: nil, problems: problems) : .restored(detail: nil, problems: problems),
                        at: at(second))
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
