import AtRisk
import Boot
import ControlPlaneAPI
@testable import Doctor
import Environment
import FoundationEssentials
import GPU
import LinuxKit
import Settings
import Storage
import Testing

private func facts(_ toml: String = "") -> Facts {
    var facts = Facts(configuration: AgentConfiguration.read(toml, source: "config.toml"))
    facts.version = "0.1.0"
    return facts
}

private func result(_ id: String, _ facts: Facts) -> DoctorReport.Result? {
    var options = Doctor.Options()
    options.only = [id]
    return Doctor.run(options, facts: facts).checks.first
}

/// A pod with an overlay root and, unless told otherwise, a volume from NFS.
private func storage(volume: Bool = true) -> StorageFacts? {
    let root = "1 0 0:30 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w\n"
    let nfs = "2 1 0:31 / /mnt/my-storage rw - nfs4 10.0.0.1:/export rw,vers=4.2\n"
    let directory = "/tmp/doctor-proc-\(UInt32.random(in: .min ... .max))"
    try? AtomicFile.createDirectory(directory + "/self")
    try? AtomicFile.write((root + (volume ? nfs : "")).utf8, to: directory + "/self/mountinfo")
    return try? StorageFacts.gather(
        .init(
            procRoot: directory, probe: nil,
            expected: [ExpectedVolume(mountPoint: "/mnt/my-storage", expectedBy: "storage.volumes")],
            volumeParent: "/nonexistent"))
}

@Suite struct ReportTests {
    private func check(_ id: String, _ status: DoctorReport.Status) -> DoctorReport.Result {
        .init(id: id, title: "t", status: status, evidence: "e", why: "w", fix: nil, durationMilliseconds: 1, data: [:])
    }

    @Test(arguments: [
        ([DoctorReport.Status.pass, .skip], false, 0), ([.pass, .warn], false, 0), ([.pass, .warn], true, 1),
        ([.fail], false, 1), ([.unknown], false, 1),
    ]) func theExitStatusFollowsTheResults(statuses: [DoctorReport.Status], strict: Bool, exit: Int) {
        let checks = statuses.enumerated().map { check("c.\($0)", $1) }
        #expect(DoctorReport(checks: checks, strict: strict).exit == exit)
    }

    @Test func aSkippedCheckFailsOnlyWhenItIsRequired() {
        let checks = [check("gpu.nvml", .skip)]
        #expect(DoctorReport(checks: checks).exit == 0)
        #expect(DoctorReport(checks: checks, required: ["gpu.nvml"]).exit == 1)
    }

    @Test func everyCheckHasItsOwnIdAndItsGroup() {
        let ids = Check.all.map(\.id)
        #expect(Set(ids).count == ids.count)
        #expect(
            Set(Check.all.map(\.group)) == [
                "storage", "limits", "caches", "environment", "setup", "gpu", "control-plane", "agent",
            ])
        for check in Check.all {
            for required in check.requires {
                #expect(ids.firstIndex(of: required) ?? .max < ids.firstIndex(of: check.id) ?? -1)
            }
        }
    }

    @Test func aNameThatIsNoCheckIsFound() {
        var options = Doctor.Options()
        options.only = ["gpu", "storage.volume", "storage.valume"]
        #expect(Doctor.unknownNames(in: options) == ["storage.valume"])
    }
}

@Suite struct CheckTests {
    @Test func aVolumeThatIsExpectedAndMountedPasses() {
        var facts = facts()
        facts.storage = storage()
        #expect(result("storage.volume", facts)?.status == .pass)
        #expect(result("storage.root", facts)?.evidence.contains("lifetime container") == true)
    }

    @Test func aVolumeThatIsExpectedAndNotMountedFails() {
        var facts = facts()
        facts.storage = storage(volume: false)
        let found = result("storage.volume", facts)
        #expect(found?.status == .fail && found?.evidence.contains("/mnt/my-storage is not mounted") == true)
    }

    @Test func whatDependsOnAFailedCheckIsSkippedWithTheReason() {
        var facts = facts()
        facts.storage = storage(volume: false)
        var options = Doctor.Options()
        options.only = ["storage"]
        let report = Doctor.run(options, facts: facts)
        let dependent = report.checks.first { $0.id == "storage.volume-answers" }
        #expect(
            dependent?.status == .skip && dependent?.evidence == "not looked at, because storage.volume did not pass")
    }

    @Test func withoutMountinfoNothingAboutStoragePasses() {
        var facts = facts()
        facts.storageFailure = "cannot open mountinfo"
        #expect(result("storage.mountinfo", facts)?.status == .fail)
        #expect(result("storage.root", facts)?.status == .unknown)
        #expect(result("storage.at-risk", facts)?.status == .unknown)
    }

    @Test func aMistakeInTheConfigurationFailsWithItsPlace() {
        let found = result("agent.configuration", facts("[gpu]\nenabled = 1\n"))
        #expect(found?.status == .fail && found?.evidence == "config.toml:2:1: gpu.enabled must be true or false")
        #expect(result("agent.configuration", facts())?.status == .pass)
    }

    @Test(arguments: [
        (GPUState.ok, DoctorReport.Status.pass), (.noLibrary, .skip), (.noGPU, .skip), (.noDriver, .fail),
        (.driverMismatch, .fail), (.accessRevoked, .fail), (.hung, .fail), (.starting, .unknown),
    ]) func statesOfNVML(state: GPUState, status: DoctorReport.Status) {
        var facts = facts()
        facts.gpu = GPUSnapshot(state: state, reason: "r")
        #expect(result("gpu.nvml", facts)?.status == status)
    }

    @Test func aLostGPUFails() {
        var facts = facts()
        let sample = GPUSample(uuid: "GPU-1", boottime: 0, state: .lost)
        facts.gpu = GPUSnapshot(state: .ok, samples: [sample])
        let found = result("gpu.devices", facts)
        #expect(found?.status == .fail && found?.evidence.contains("GPU-1 is lost") == true)
    }

    @Test func gpuChecksAreSkippedWhenSwitchedOff() {
        #expect(result("gpu.nvml", facts("[gpu]\nenabled = false"))?.status == .skip)
    }

    @Test func deliveryWarnsBeforeItFails() {
        var facts = facts()
        facts.controlPlane = .init(url: "http://c", podUID: "p", tokenProblem: nil)
        for (waited, status) in [(5.0, DoctorReport.Status.warn), (5000, .fail)] {
            facts.daemon = .init(
                version: "0.1.0", pid: 1, spooled: 3, oldestUnackedSeconds: waited, lastAckSeconds: nil,
                failure: "HTTP 500")
            #expect(result("control-plane.delivery", facts)?.status == status)
        }
        facts.daemon = .init(
            version: "0.1.0", pid: 1, spooled: 0, oldestUnackedSeconds: nil, lastAckSeconds: 2, failure: nil)
        #expect(result("control-plane.delivery", facts)?.status == .pass)
    }

    @Test func aTokenProblemFails() {
        var facts = facts()
        #expect(result("control-plane.configured", facts)?.status == .skip)
        facts.controlPlane = .init(url: "http://c", podUID: "p", tokenProblem: "can be read by others")
        #expect(result("control-plane.configured", facts)?.status == .fail)
    }

    @Test func anotherVersionOfTheDaemonWarns() {
        var facts = facts()
        #expect(result("agent.running", facts)?.status == .fail)
        facts.daemon = .init(
            version: "0.0.9", pid: 1, spooled: 0, oldestUnackedSeconds: nil, lastAckSeconds: nil, failure: nil)
        #expect(result("agent.running", facts)?.status == .warn)
    }

    @Test(arguments: [
        (SetupRecord.State.succeeded, DoctorReport.Status.pass), (.failed, .fail), (.timeout, .fail), (.running, .warn),
        (.stalled, .warn), (.absent, .skip),
    ]) func statesOfTheSetUpScript(state: SetupRecord.State, status: DoctorReport.Status) {
        var facts = facts()
        facts.setup = SetupRecord(state: state, containerStart: "c", reason: "r")
        #expect(result("setup.result", facts)?.status == status)
    }

    @Test func aRefusedScriptFails() {
        var facts = facts()
        facts.setup = SetupRecord(state: .refused, containerStart: "c", reason: "others can write it")
        #expect(result("setup.script", facts)?.status == .fail)
    }

    @Test func theStepThatFailedIsNamed() {
        var facts = facts()
        facts.boot = .object([
            "state": .string("degraded"),
            "steps": .array([
                .object([
                    "name": .string("volume"), "state": .string("failed"), "detail": .string("no volume is mounted"),
                ])
            ]),
        ])
        let found = result("agent.boot", facts)
        #expect(found?.status == .warn && found?.evidence == "volume failed: no volume is mounted")
    }
}

@Suite struct ScreenTests {
    private func report(_ bytes: UInt64) throws -> AtRiskReport {
        let group = """
            {"id":"x","kind":"other","title":"odd\\u001b[31m name","path":"/root/work","lifetime":"container",
             "bytes":\(bytes),"files":3,"captured":false,"fix":null}
            """
        let document = """
            {"schema":"packet-agent/at-risk/1","total_bytes":\(bytes),"total_files":\(bytes == 0 ? 0 : 3),"complete":true,
             "as_of":"2026-11-24T00:00:00Z","groups":[\(bytes == 0 ? "" : group)]}
            """
        return try JSONDecoder().decode(AtRiskReport.self, from: Data(document.utf8))
    }

    @Test func whatWouldBeLostComesFirst() throws {
        let lines = try Screen().lines(Doctor.run(.init(), facts: facts()), atRisk: report(5 << 30))
        #expect(lines.first == "You would lose 5.0 GiB if this pod stopped now.")
        #expect(
            try Screen().lines(Doctor.run(.init(), facts: facts()), atRisk: report(0)).first?.hasPrefix(
                "Nothing of yours") == true)
    }

    @Test func problemsThatOneCommandMendsStandTogether() {
        func result(_ id: String, fix: String?) -> DoctorReport.Result {
            .init(
                id: id, title: "title of \(id)", status: .warn, evidence: "evidence of \(id)", why: "why of \(id)",
                fix: fix.map { .init(command: $0, safe: false) }, durationMilliseconds: 0, data: [:])
        }
        let report = DoctorReport(
            checks: [result("a.one", fix: "mend"), result("b.other", fix: "else"), result("a.two", fix: "mend")])
        let lines = Screen().lines(report, atRisk: nil).map { String($0.drop { $0 == " " }) }
        #expect(
            lines.prefix(9) == [
                "WARN    title of a.one  a.one", "evidence of a.one", "WARN    title of a.two  a.two",
                "evidence of a.two", "-> mend", "WARN    title of b.other  b.other", "evidence of b.other",
                "why of b.other", "-> else",
            ])
    }

    @Test func linesFitTheTerminalAndCarryNoControlsWithoutColour() throws {
        let lines = try Screen(columns: 80).lines(Doctor.run(.init(), facts: facts()), atRisk: report(5 << 30))
        #expect(lines.allSatisfy { $0.count <= 80 || $0.contains("->") }, "\(lines.filter { $0.count > 80 })")
        #expect(!lines.joined().unicodeScalars.contains { $0.value < 0x20 })
    }

    @Test func coloursAreUsedWhenTheyMay() throws {
        let lines = try Screen(hasColour: true).lines(Doctor.run(.init(), facts: facts()), atRisk: report(1))
        #expect(lines.joined().contains("\u{1b}[31m"))
    }
}
