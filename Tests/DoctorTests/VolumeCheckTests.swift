import AtRisk
import Catalog
import Environment
@testable import Doctor
import FoundationEssentials
import Limits
import LinuxKit
import Settings
import Storage
import Testing

private func result(_ id: String, _ facts: Facts) -> (status: DoctorReport.Status?, evidence: String) {
    var options = Doctor.Options()
    options.only = [id]
    let found = Doctor.run(options, facts: facts).checks.first
    return (found?.status, found?.evidence ?? "")
}

private func facts(_ toml: String = "") -> Facts {
    Facts(configuration: AgentConfiguration.read(toml, source: "config.toml"))
}

/// Facts of a pod with the given lines of mountinfo after an overlay root.
private func mounted(_ lines: String) throws -> Facts {
    let root = "1 0 0:30 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w\n"
    let directory = "/tmp/doctor-proc-\(UInt32.random(in: .min ... .max))"
    try AtomicFile.createDirectory(directory + "/self")
    try AtomicFile.write((root + lines).utf8, to: directory + "/self/mountinfo")
    var facts = facts()
    facts.storage = try StorageFacts.gather(.init(procRoot: directory, probe: nil, volumeParent: "/nonexistent"))
    return facts
}

@Suite struct VolumeCheckTests {
    private let nfs = "2 1 0:31 / /mnt/a rw,relatime - nfs4 s:/e rw\n"

    @Test func aVolumeThatIsMountedTwiceIsToldWithItsPlaces() throws {
        #expect(result("storage.volume-mounted-once", try mounted(nfs)).status == .pass)
        let twice = result("storage.volume-mounted-once", try mounted(nfs + "3 1 0:31 / /mnt/b rw - nfs4 s:/e rw\n"))
        #expect(twice.status == .warn && twice.evidence == "/mnt/a and /mnt/b are the same volume")
        let over = result("storage.volume-mounted-once", try mounted(nfs + "3 2 0:32 / /mnt/a rw - nfs4 s:/f rw\n"))
        #expect(over.status == .warn && over.evidence.contains("hidden below"))
        #expect(result("storage.volume-mounted-once", try mounted("")).status == .skip)
    }

    @Test func noexecIsTold() throws {
        #expect(result("storage.volume-exec", try mounted(nfs)).status == .pass)
        let found = result("storage.volume-exec", try mounted("2 1 0:31 / /mnt/a rw,noexec - nfs4 s:/e rw\n"))
        #expect(found.status == .warn && found.evidence == "/mnt/a is mounted noexec")
    }

    private func examined(_ toml: String = "", first: String? = nil, _ change: (inout VolumeExamination) -> Void)
        -> Facts
    {
        var facts = facts(toml)
        var examination = VolumeExamination()
        examination.identity = "id-1"
        examination.writeMilliseconds = 3
        change(&examination)
        facts.examinations["/mnt/a"] = .init(examination: examination, firstIdentity: first, lastEnd: nil)
        return facts
    }

    @Test func nothingPassesBeforeAnAgentLooked() throws {
        for subject in ["identity", "lease", "root", "locks", "latency"] {
            #expect(result("storage.volume-\(subject)", try mounted(nfs)).status == .skip)
        }
    }

    @Test func aHealthyVolumePasses() {
        let facts = examined(first: "id-1") { _ in }
        for subject in ["identity", "lease", "root", "locks", "latency"] {
            #expect(result("storage.volume-\(subject)", facts).status == .pass)
        }
    }

    @Test func eachTrapIsToldWithItsEvidence() {
        let other = VolumeLease(
            pod: "pod-b", start: "2", startedAt: "2026-01-01T00:00:00Z", renewedAt: "2026-01-01T00:01:00Z", ended: nil,
            memory: nil)
        let cases: [(String, Facts, DoctorReport.Status, String)] = [
            ("identity", examined(first: "id-0") { _ in }, .fail, "it was id-0 when this container started"),
            ("lease", examined { $0.otherPod = other }, .warn, "pod pod-b uses /mnt/a too"),
            ("root", examined { $0.rootBecomes = 65534 }, .warn, "root becomes user 65534"),
            ("locks", examined { $0.lockFailure = "fcntl: No locks available" }, .fail, "No locks available"),
            ("latency", examined { $0.writeMilliseconds = 240 }, .warn, "takes 240.0 ms"),
        ]
        for (subject, facts, status, words) in cases {
            let found = result("storage.volume-\(subject)", facts)
            #expect(found.status == status && found.evidence.contains(words), "\(subject): \(found)")
        }
    }

    @Test func anotherVolumeThanTheControlPlaneAttachedFails() {
        let noted = VolumeAttachment(controlPlane: "https://c", volumeID: 7)
        var facts = examined { $0.attachment = noted }
        facts.expectedVolume = ("/mnt/a", noted)
        #expect(result("storage.volume-identity", facts).status == .pass)
        facts.expectedVolume = ("/mnt/a", .init(controlPlane: "https://c", volumeID: 9))
        let found = result("storage.volume-identity", facts)
        #expect(found.status == .fail && found.evidence.contains("volume 7, but volume 9 should be attached"))
        facts.expectedVolume = ("/mnt/a", .init(controlPlane: "https://other", volumeID: 9))
        #expect(result("storage.volume-identity", facts).status == .pass, "other control planes count for themselves")
    }

    @Test func whoPointsToAVolumeThatIsGoneIsNamed() throws {
        var facts = try mounted("")
        #expect(result("environment.volume-gone", facts).status == .pass)
        facts.usersOfGoneVolumes["/mnt/a"] = (1...5).map { number in
            .init(pid: Int32(number), command: "python train.py", variables: ["HF_HOME"], holdsFiles: false)
        }
        let found = result("environment.volume-gone", facts)
        #expect(
            found.status == .warn
                && found.evidence.hasPrefix("/mnt/a is gone, but used by python train.py (process 1: HF_HOME)"))
        #expect(found.evidence.hasSuffix("and 2 more"))
    }

    @Test func whatCouldNotBeTriedIsSkippedWithTheReason() {
        let facts = examined {
            $0 = VolumeExamination()
            $0.failure = "cannot create directory /mnt/a/.packet: Permission denied"
        }
        let found = result("storage.volume-locks", facts)
        #expect(found.status == .skip && found.evidence.contains("Permission denied"))
    }
}

@Suite struct CacheCheckTests {
    private func facts(_ id: String, at path: String, _ lifetime: Lifetime, session: [String: String] = [:]) throws
        -> Facts
    {
        var facts = try mounted("2 1 0:31 / /mnt/a rw,relatime - nfs4 s:/e rw\n")
        facts.session = session
        facts.plan = EnvironmentPlan.make(
            .init(
                volume: .init(name: "a", mountPoint: "/mnt/a"), isPersistent: { $0.hasPrefix("/mnt/a") },
                files: NoFiles()))
        let tool = try #require(Catalog.tool(id))
        facts.tools = [.init(tool: tool, path: path, classification: .init(lifetime, .certain, "reason"))]
        return facts
    }

    @Test func aTokenInItsPrivatePlaceOnTheVolumeIsFineAndInASharedOneIsNot() throws {
        let own = try facts("huggingface-token", at: "/mnt/a/.packet/secrets/0/hf/token", .volume)
        #expect(result("caches.secrets", own).status == .pass)
        let shared = try facts("huggingface-token", at: "/mnt/a/huggingface/token", .volume)
        #expect(result("caches.secrets", shared).status == .warn)
    }

    @Test func aPlaceThatTheAgentLeavesAloneIsToldOnlyWhenSomebodyChoseIt() throws {
        let path = "/root/models"
        #expect(result("caches.huggingface", try facts("llama-cpp", at: path, .container)).status == .skip)
        let chosen = try facts("llama-cpp", at: path, .container, session: ["LLAMA_CACHE": path])
        #expect(result("caches.huggingface", chosen).status == .warn)
    }
}

@Suite struct LimitCheckTests {
    private func limits(_ change: (inout ContainerLimits) -> Void) -> Facts {
        var facts = facts()
        var limits = ContainerLimits()
        change(&limits)
        facts.limits = limits
        return facts
    }

    @Test(arguments: [(79, DoctorReport.Status.pass), (80, .warn), (89, .warn), (90, .warn), (100, .warn)])
    func memoryWarnsFromEightyPercentOn(used: Int, status: DoctorReport.Status) {
        let found = result(
            "limits.memory",
            limits { $0.memory = .init(used: UInt64(used), cache: 20, limit: 100, outOfMemoryKills: 0) })
        #expect(found.status == status && found.evidence.contains("20 B of page cache not counted"))
        #expect(found.evidence.hasPrefix("only") == (used >= 90))
    }

    @Test func aKilledProcessIsToldEvenWhenThereIsRoomAgain() {
        let found = result(
            "limits.memory", limits { $0.memory = .init(used: 1, cache: 0, limit: 100, outOfMemoryKills: 2) })
        #expect(found.status == .warn && found.evidence.contains("2 process(es) were killed"))
    }

    @Test func smallSharedMemoryAndOpenFiles() {
        #expect(
            result("limits.shared-memory", limits { $0.sharedMemory = .init(used: 0, limit: 64 << 20) }).status == .warn
        )
        #expect(
            result("limits.shared-memory", limits { $0.sharedMemory = .init(used: 0, limit: 8 << 30) }).status == .pass)
        let files = result(
            "limits.open-files",
            limits { $0.openFiles = .init(pid: 9, command: "python", use: .init(used: 950, limit: 1024)) })
        #expect(files.status == .warn && files.evidence.hasSuffix("in python (process 9)"))
    }

    @Test func ephemeralStorageCountsWhatAnybodyWrote() {
        var facts = facts("[storage]\nephemeral_limit_mib = 10\n")
        #expect(result("limits.ephemeral-storage", facts).status == .unknown)
        var findings = AtRiskScan.Findings(groups: [], isComplete: true, problems: [])
        findings.ephemeralBytes = 9 << 20
        facts.atRisk = AtRiskReport(findings)
        let found = result("limits.ephemeral-storage", facts)
        #expect(found.status == .warn && found.evidence.hasPrefix("only 10 % left: 90 % of ephemeral storage"))
    }

    @Test func aFullDiskIsTold() {
        let found = result("limits.disk", limits { $0.disk = .init(used: 95, limit: 100) })
        #expect(found.status == .warn && found.evidence.contains("95 % of the disk below /"))
        #expect(result("limits.disk", limits { $0.disk = .init(used: 50, limit: 100) }).status == .pass)
    }

    @Test func withoutLimitsNothingPasses() {
        for id in ["memory", "pids", "disk", "shared-memory", "open-files", "ephemeral-storage", "last-end"] {
            #expect(result("limits.\(id)", limits { _ in }).status == .skip)
        }
    }
}

@Suite struct CheckDocumentationTests {
    /// Written again with PACKET_WRITE_DOCS=1.
    @Test func thePageIsWhatTheChecksSay() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let path = "/\(root)/docs/checks.md"
        if ProcessEnvironment.current["PACKET_WRITE_DOCS"] != nil {
            try AtomicFile.write(Array(CheckDocumentation.markdown.utf8), to: path)
        }
        #expect(try LocalFile.readText(path) == CheckDocumentation.markdown)
    }

    @Test func everyCheckSaysWhyAndHowToMendIt() {
        for check in Check.all { #expect(check.why.hasSuffix(".") && check.mend.hasSuffix("."), "\(check.id)") }
    }
}
