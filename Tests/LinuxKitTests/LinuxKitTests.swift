import Glibc
import LinuxKit
import Testing

@Suite struct TerminalTextTests {
    @Test func plainTextStaysAsItIs() {
        #expect(TerminalText.escape("models/größe 7B.safetensors") == "models/größe 7B.safetensors")
    }

    @Test func controlsAndBidirectionalOverridesAreEscaped() {
        #expect(TerminalText.escape("a\u{1b}[31mb\n\u{202e}c\u{9b}") == "a\\x1b[31mb\\x0a\\u{202e}c\\u{9b}")
    }

    @Test func bytesThatAreNotUTF8AreShownInHex() {
        #expect(TerminalText.escape(bytes: [0x61, 0xff, 0xc3, 0xa9, 0x0a]) == "a\\xffé\\x0a")
    }

    @Test func noControlByteEverReachesTheTerminal() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0..<40)).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            #expect(
                !TerminalText.escape(bytes: bytes).unicodeScalars.contains {
                    $0.value < 0x20 || (0x7f..<0xa0).contains($0.value)
                })
        }
    }
}

@Suite struct AtomicFileTests {
    let directory: String

    init() throws {
        var template = Array("/tmp/linuxkit.XXXXXX".utf8CString)
        directory = try #require(mkdtemp(&template).map { String(cString: $0) })
    }

    @Test func aReplacedFileKeepsOwnerAndMode() throws {
        let path = directory + "/file"
        try AtomicFile.write("old".utf8, to: path, mode: 0o640)
        if getuid() == 0 { chown(path, 1234, 1235) }
        try AtomicFile.write("new".utf8, to: path)
        let status = try FileStatus(path)
        #expect(try LocalFile.readText(path) == "new")
        #expect(status.permissions == 0o640)
        if getuid() == 0 { #expect((status.uid, status.gid) == (1234, 1235)) }
    }

    @Test func aSymbolicLinkIsRefusedAndItsTargetUntouched() throws {
        try AtomicFile.write("mine".utf8, to: directory + "/target")
        symlink("target", directory + "/link")
        #expect(throws: LinuxError.self) { try AtomicFile.write("x".utf8, to: directory + "/link") }
        #expect(try LocalFile.readText(directory + "/target") == "mine")
    }

    @Test func aFailedWriteLeavesNoTemporaryFile() throws {
        mkdir(directory + "/sub", 0o755)
        #expect(throws: LinuxError.self) { try AtomicFile.write("x".utf8, to: directory + "/sub") }
        #expect(throws: LinuxError.self) { try AtomicFile.write("x".utf8, to: directory + "/missing/file") }
        var names: [String] = []
        let handle = try #require(opendir(directory))
        while let entry = readdir(handle) {
            names.append(
                withUnsafePointer(to: entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        closedir(handle)
        #expect(names.sorted() == [".", "..", "sub"])
    }
}

@Suite struct ChildProcessTests {
    @Test func outputAndExitStatusAreCaptured() throws {
        let captured = try ChildProcess.capture(
            .init(executable: "/bin/sh", arguments: ["-c", "echo $A; exit 7"], environment: ["A": "b c"]),
            milliseconds: 10_000)
        #expect(captured.output == Array("b c\n".utf8))
        #expect(captured.termination == .exited(7))
    }

    @Test func theDeadlineEndsTheWholeGroup() throws {
        let captured = try ChildProcess.capture(
            .init(
                executable: "/bin/sh", arguments: ["-c", "trap '' TERM; sleep 60 & sleep 60"],
                environment: ["PATH": "/usr/bin:/bin"]),
            milliseconds: 50)
        #expect(captured.timedOut)
        #expect(captured.termination == .signalled(SIGKILL))
    }

    @Test func aMissingProgramIsAnError() {
        #expect(throws: LinuxError.self) { try ChildProcess.spawn(.init(executable: "/nonexistent", environment: [:])) }
    }
}

@Suite struct DedicatedThreadTests {
    @Test func joinWaitsForTheBody() throws {
        let reader: Int32
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        reader = ends[0]
        let writer = ends[1]
        let thread = try DedicatedThread(name: "test") { write(writer, "x", 1) }
        thread.join()
        var byte: UInt8 = 0
        #expect(read(reader, &byte, 1) == 1)
        close(reader)
        close(writer)
    }
}

@Suite struct SHA256Tests {
    // Values of FIPS 180-4's examples and of sha256sum(1).
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ]) func knownTextsHaveTheirDigests(text: String, digest: String) {
        #expect(SHA256.hexadecimal(Array(text.utf8)) == digest)
    }

    @Test func everyLengthAroundABlockAgreesWithTheSystem() throws {
        for length in [55, 56, 57, 63, 64, 65, 119, 120, 128, 100_000] {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let path = "/tmp/sha256-\(getpid())"
            try AtomicFile.write(bytes, to: path)
            let captured = try ChildProcess.capture(
                .init(executable: "/usr/bin/sha256sum", arguments: [path], environment: [:]), milliseconds: 10_000)
            unlink(path)
            #expect(String(decoding: captured.output.prefix(64), as: UTF8.self) == SHA256.hexadecimal(bytes))
        }
    }
}
