import FoundationEssentials
import Glibc
import LinuxKit
import Testing

@testable import Storage

@Suite("storage report")
struct StorageReportTests {
    private func options(_ scratch: TemporaryDirectory, _ mountinfo: [UInt8], probe: StorageProbe?) throws
        -> StorageFacts.Options
    {
        try AtomicFile.createDirectory("\(scratch.path)/self")
        try AtomicFile.write(mountinfo, to: "\(scratch.path)/self/mountinfo")
        return StorageFacts.Options(
            procRoot: scratch.path, probe: probe,
            expected: [.init(mountPoint: "/mnt/gone", expectedBy: "the snapshot")],
            workingDirectory: "/", isKubernetes: true, volumeParent: "/nonexistent")
    }

    @Test("the document has the keys of the contract, null where a value is not known")
    func contract() throws {
        let scratch = try TemporaryDirectory()
        let lines = """
            10 1 0:20 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u
            11 10 0:21 / /mnt/v rw - nfs4 s:/e rw
            broken
            """
        let program = try scratch.write(
            "#!/bin/sh\necho '{\"size_bytes\":100,\"used_bytes\":40,\"writable\":true}'\n", to: "probe", mode: 0o755)
        let probe = StorageProbe(executable: program, lockDirectory: nil)
        let report = try StorageReport.gather(
            paths: ["/mnt/v"], options: options(scratch, Array(lines.utf8), probe: probe))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let text = String(decoding: try encoder.encode(report), as: UTF8.self)
        let reason = "an NFS export: it outlives the pod"
        let layer = "the container's writable layer: lost when the pod ends"
        #expect(
            text == #"{"mounts":["#
                + #"{"confidence":"certain","fstype":"overlay","lifetime":"container","mount_point":"/","read_only":false,"reason":"\#(layer)","root":"/","source":"overlay"},"#
                + #"{"confidence":"certain","fstype":"nfs4","lifetime":"volume","mount_point":"/mnt/v","read_only":false,"reason":"\#(reason)","root":"/","source":"s:/e"}],"#
                + #""paths":[{"confidence":"certain","exists":true,"lifetime":"volume","mount_point":"/mnt/v","path":"/mnt/v","reason":"\#(reason)","resolved":"/mnt/v"}],"#
                + #""problems":["mountinfo line 3 has fewer than six fields before the separator"],"schema":"packet-agent/storage/1","volumes":["#
                + #"{"fstype":null,"mount_point":"/mnt/gone","name":"gone","reason":"nothing is mounted there: the path belongs to /, \#(layer)","size_bytes":null,"source":null,"state":"missing","used_bytes":null},"#
                + #"{"fstype":"nfs4","mount_point":"/mnt/v","name":"v","size_bytes":100,"source":"s:/e","state":"ready","used_bytes":40}]}"#
        )
        #expect(try JSONDecoder().decode(StorageReport.self, from: Data(text.utf8)) == report)
    }

    @Test("a volume that does not answer is stuck, and a path in it neither exists nor is missing")
    func stuck() throws {
        let scratch = try TemporaryDirectory()
        let lines =
            "10 1 0:20 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u\n11 10 0:21 / /mnt/v rw - nfs4 s:/e rw\n12 10 0:22 / /mnt/w rw - nfs4 s:/f rw\n"
        let program = try scratch.write("#!/bin/sh\nsleep 600\n", to: "probe", mode: 0o755)
        let probe = StorageProbe(executable: program, deadline: 200, lockDirectory: "\(scratch.path)/run")
        let report = try StorageReport.gather(
            paths: ["/mnt/v/x"], options: options(scratch, Array(lines.utf8), probe: probe))
        #expect(report.volumes.map(\.state) == [.missing, .stuck, .stuck])
        #expect(report.paths.first?.exists == nil)
        #expect(report.paths.first?.lifetime == .volume)
    }

    @Test("a path that is not UTF-8 is shown escaped and given exactly in base64")
    func notUnicode() throws {
        let scratch = try TemporaryDirectory()
        let line = Array("11 10 0:21 / /mnt/".utf8) + [0xff] + Array(" rw - nfs4 s:/e rw\n".utf8)
        let report = try StorageReport.gather(options: options(scratch, line, probe: nil))
        #expect(report.mounts.first?.mountPoint == #"/mnt/\xff"#)
        #expect(report.mounts.first?.mountPointBase64 == Data(Array("/mnt/".utf8) + [0xff]).base64EncodedString())
    }

    @Test("this machine's own report can be made")
    func own() throws {
        let report = try StorageReport.gather(paths: ["/", "/proc/self"], options: .init(probe: nil))
        #expect(report.mounts.contains { $0.mountPoint == "/" })
        #expect(report.paths.map(\.exists) == [true, true])
        #expect(report.paths.last?.lifetime == .kernel)
    }

    @Test("amounts of bytes are written in powers of 1024 with one decimal")
    func byteCount() {
        let cases: [(UInt64, String)] = [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (15_246_308_966, "14.2 GiB"),
            (1024 * 1024 - 1, "1.0 MiB"), (.max, "16.0 EiB"),
        ]
        for (bytes, text) in cases { #expect(ByteCount.format(bytes) == text) }
    }
}
