import FoundationEssentials
import Glibc
import LinuxKit
import Testing

@testable import Storage

@Suite("what is found by writing to a volume")
struct VolumeExaminerTests {
    private let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    private func lease(_ pod: String, _ start: String, ended: String? = nil, memory: VolumeLease.Memory? = nil)
        -> VolumeLease
    {
        VolumeLease(
            pod: pod, start: start, startedAt: "2026-01-01T00:00:00Z", renewedAt: "2026-01-01T00:01:00Z", ended: ended,
            memory: memory)
    }

    private func examine(_ lease: VolumeLease) -> VolumeExamination {
        VolumeExaminer(volume: scratch.path, lease: lease).examine()
    }

    @Test("a link in the place of the agent's directory leads root's files nowhere else")
    func linkInPlace() throws {
        try AtomicFile.createDirectory(scratch.path + "/outside")
        symlink("outside", scratch.path + "/.packet")
        let found = examine(lease("a", "1"))
        #expect(found.failure == "cannot open \(scratch.path)/.packet: Not a directory")
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/outside") == [])
    }

    @Test("the first attachment is noted and stays, until another control plane attaches the volume")
    func attachment() {
        func noted(_ attachment: VolumeAttachment?) -> VolumeAttachment? {
            VolumeExaminer(volume: scratch.path, lease: lease("a", "1"), attachment: attachment).examine().attachment
        }
        let first = VolumeAttachment(controlPlane: "http://a", volumeID: 7)
        let identity = examine(lease("a", "1")).identity
        #expect(noted(nil) == nil)
        #expect(noted(first) == first)
        #expect(noted(.init(controlPlane: "http://a", volumeID: 8)) == first)
        #expect(noted(nil) == first)
        let second = VolumeAttachment(controlPlane: "http://b", volumeID: 8)
        #expect(noted(second) == second)
        #expect(identity != nil && examine(lease("a", "1")).identity == identity)
    }

    private func age(_ name: String, seconds: Int) {
        let time = timeval(tv_sec: Glibc.time(nil) - seconds, tv_usec: 0)
        _ = utimes("\(scratch.path)/.packet/\(name)", [time, time])
    }

    @Test("a healthy volume: an identity that stays, locks that work, a measured write, nothing left behind")
    func healthy() throws {
        let first = examine(lease("a", "1"))
        let second = examine(lease("a", "1"))
        #expect(first.identity != nil && first.identity == second.identity)
        #expect(second.lockFailure == nil && second.failure == nil && second.rootBecomes == nil)
        #expect(try #require(second.writeMilliseconds) > 0)
        #expect(second.otherPod == nil && second.previous == nil)
        let names = DirectoryReader.names(in: BytePath(scratch.path + "/.packet")).map {
            String(decoding: $0, as: UTF8.self)
        }
        #expect(Set(names) == ["lease", "volume.json"])
    }

    @Test("two pods on one volume learn of each other, and the first keeps the lease")
    func twoPods() {
        #expect(examine(lease("a", "1")).otherPod == nil)
        #expect(examine(lease("b", "2")).otherPod?.pod == "a")
        #expect(examine(lease("a", "1")).otherPod?.pod == "b")
        // The second pod ends: the first one is alone again.
        #expect(examine(lease("b", "2", ended: "SIGTERM")).otherPod?.pod == "a")
        #expect(examine(lease("a", "1")).otherPod == nil)
    }

    @Test("a pod that fell silent loses the lease, and leaves its note")
    func silent() {
        _ = examine(lease("a", "1"))
        age("lease", seconds: 179)
        #expect(examine(lease("b", "2")).otherPod?.pod == "a")
        age("lease", seconds: 181)
        let taken = examine(lease("b", "2"))
        #expect(taken.otherPod == nil && taken.previous?.pod == "a")
        #expect(examine(lease("b", "2")).previous == nil)
    }

    @Test("a container that is started again finds the note of the one before at once")
    func restarted() {
        _ = examine(lease("a", "1"))
        #expect(examine(lease("a", "2")).previous?.start == "1")
        _ = examine(lease("a", "2", ended: "SIGTERM"))
        #expect(examine(lease("c", "3")).previous?.ended == "SIGTERM")
    }

    @Test("files that were cut off or are garbage are replaced, not believed")
    func garbage() throws {
        _ = examine(lease("a", "1"))
        for contents in ["", "{", "{\"id\":7}", String(repeating: "[", count: 70_000)] {
            try AtomicFile.write(Array(contents.utf8), to: scratch.path + "/.packet/volume.json")
            try AtomicFile.write(Array(contents.utf8), to: scratch.path + "/.packet/lease")
            let found = examine(lease("a", "1"))
            #expect(found.identity?.count == 36 && found.previous == nil && found.failure == nil)
        }
    }

    @Test("where .packet cannot be made, one sentence says so")
    func refused() throws {
        try AtomicFile.write([], to: scratch.path + "/.packet")
        let found = examine(lease("a", "1"))
        #expect(found.failure?.contains(".packet") == true && found.identity == nil)
    }

    @Test("the question and its answer go through the child")
    func child() throws {
        let encoded = try JSONEncoder().encode(lease("a", "1")).base64EncodedString()
        let answer = StorageProbe.answer(arguments: ["examine", scratch.path, "--proc", "/proc", "--lease", encoded])
        #expect(answer?.examination?.identity != nil)
        #expect(StorageProbe.answer(arguments: ["examine", scratch.path]) == nil)
        #expect(StorageProbe.answer(arguments: ["examine", scratch.path, "--lease", "e30="]) == nil)
    }

    @Test("how the last container ended")
    func ends() {
        func memory(_ kills: UInt64, used: UInt64, limit: UInt64? = 1000) -> VolumeLease.Memory {
            .init(
                outOfMemoryKills: kills, usedBytes: used, limitBytes: limit,
                largest: .init(pid: 42, command: "python", bytes: 900))
        }
        #expect(ContainerEnd(lease("a", "1", ended: "SIGTERM"), killsNow: 9).cause == .asked)
        #expect(ContainerEnd(lease("a", "1"), killsNow: nil).cause == .unknown)
        #expect(ContainerEnd(lease("a", "1", memory: memory(0, used: 100)), killsNow: 0).cause == .unknown)
        let killed = ContainerEnd(lease("a", "1", memory: memory(0, used: 100)), killsNow: 1)
        #expect(killed.cause == .outOfMemory && killed.text.contains("python (process 42, 900 B)"))
        #expect(ContainerEnd(lease("a", "1", memory: memory(0, used: 950)), killsNow: nil).cause == .outOfMemory)
        #expect(ContainerEnd(lease("a", "1", memory: memory(0, used: 950, limit: nil)), killsNow: 0).cause == .unknown)
        for ended in [nil, "SIGTERM"] {
            var full = lease("a", "1", ended: ended)
            full.ephemeral = .init(usedBytes: 95 << 30, limitBytes: 100 << 30)
            full.disk = .init(usedBytes: 50, limitBytes: 100)
            let evicted = ContainerEnd(full, killsNow: 0)
            #expect(evicted.cause == .evicted)
            #expect(evicted.text.hasSuffix("probably evicted: ephemeral storage was at 95.0 GiB of 100.0 GiB"))
            full.ephemeral?.usedBytes = 1
            #expect(ContainerEnd(full, killsNow: 0).cause == (ended == nil ? .unknown : .asked))
            full.disk?.usedBytes = 90
            #expect(ContainerEnd(full, killsNow: 0).text.contains("the node's disk was at 90 B of 100 B"))
        }
    }
}
