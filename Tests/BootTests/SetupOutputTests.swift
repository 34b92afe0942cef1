import Environment
import Glibc
import LinuxKit
import Testing

@testable import Boot

@Suite struct SetupOutputTests {
    private func passed(_ pieces: [(String, UInt64)]) -> String {
        var filter = ProgressFilter()
        var bytes: [UInt8] = []
        for (text, second) in pieces { bytes += filter.pass(text.utf8, at: second * 1_000_000_000) }
        bytes += filter.finish()
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func plainLinesPassAsTheyAre() {
        #expect(passed([("a\nb\r\nc", 0), ("d\n", 0)]) == "a\nb\r\ncd\n")
        #expect(passed([("a\r", 0), ("\nb\n", 0)]) == "a\r\nb\n", "a line end in two pieces")
        #expect(passed([("Continue? ", 0)]) == "Continue? ", "a prompt is shown at once")
    }

    @Test func progressIsThinnedToOneStateASecondAndTheLast() {
        let bar = (0...100).map { "\($0) %\r" }.joined() + "done\n"
        #expect(passed([(bar, 7)]) == "0 %\rdone\n")
        #expect(passed([("1 %\r2 %\r", 1), ("3 %\r", 2), ("4 %\r", 3)]) == "1 %\r2 %\r3 %\r4 %\r")
        #expect(passed([("1 %\r2 %\r3 %", 1)]) == "1 %\r3 %")
    }

    @Test func aLineOfAnyLengthNeedsLittleMemory() {
        var filter = ProgressFilter()
        var count = 0
        for _ in 0..<64 { count += filter.pass([UInt8](repeating: 0x78, count: 1 << 16), at: 0).count }
        let rest = filter.finish().count
        #expect(count + rest == 64 << 16)
    }

    @Test func anyBytesInAnyPiecesKeepTheirLinesAndNeverGrow() {
        for _ in 0..<300 {
            let bytes = (0..<Int.random(in: 0...200)).map { _ in [0x61, 0x0d, 0x0a, 0xff].randomElement() ?? 0 as UInt8
            }
            var filter = ProgressFilter()
            var kept: [UInt8] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...20))
                kept += filter.pass(piece, at: UInt64.random(in: 0...3_000_000_000))
                rest = rest.dropFirst(piece.count)
            }
            kept += filter.finish()
            #expect(kept.count <= bytes.count)
            #expect(kept.count { $0 == 0x0a } == bytes.count { $0 == 0x0a }, "no line is lost")
        }
    }

    @Test func theLogTurnsOverAndItsFollowerMissesNothing() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/log"
        var log = try RotatingLog(path, limit: 1000, owner: nil)
        var follower = SetupLogFollower(path)
        var seen: [String] = []
        for number in 0..<500 {
            log.write(Array("line \(number)\n".utf8))
            if number % 20 == 0 { seen += try follower.lines() }
        }
        log.write(Array("no end".utf8))
        seen += try follower.lines()
        #expect(!seen.contains("no end"))
        seen += try follower.lines(isLast: true)
        #expect(seen == (0..<500).map { "line \($0)" } + ["no end"])
        let sizes = try [path, path + ".1"].map { try FileStatus($0).size }
        #expect(sizes.reduce(0, +) <= 1000)
        #expect(try SetupLog.tail(path, lines: 2) == ["line 499", "no end"])
    }

    @Test func whatATerminalMustNotSeeIsEscaped() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/log"
        var log = try RotatingLog(path, limit: 1000, owner: nil)
        log.write(Array("\u{1b}]0;title\u{7}\n\u{202e}x\n".utf8) + [0xff, 0x0a])
        #expect(try SetupLog.tail(path, lines: 9) == ["\\x1b]0;title\\x07", "\\u{202e}x", "\\xff"])
        #expect(try SetupLog.tail(scratch.path + "/none", lines: 9).isEmpty)
    }

    @Test(.enabled(if: getuid() == 0)) func aFullDiskLosesOutputAndSaysSoAfterwards() throws {
        let scratch = try Scratch()
        // A mount namespace of its own ends with the child that makes it.
        let probe = BootChildSide.probe
        let script = """
            mount -t tmpfs -o size=64k none \(scratch.path) && cd \(scratch.path) && dd if=/dev/zero of=fill bs=1k count=40 2>/dev/null
            (head -c 100000 /dev/zero | tr '\\0' x; sleep 1; rm fill; echo; echo after) | "$@" setup-log log 200000 -
            tail -n 3 log
            """
        let done = try ChildProcess.capture(
            .init(
                executable: "/usr/bin/unshare",
                arguments: ["-m", "--propagation", "private", "sh", "-c", script, "sh", probe.executable]
                    + probe.arguments, environment: ["PATH": "/usr/bin:/bin:/usr/sbin"]), milliseconds: 120_000)
        let text = String(decoding: done.output, as: UTF8.self)
        #expect(text.contains("bytes of output are lost: the disk was full]"), "\(text)")
        #expect(text.hasSuffix("after\n"), "\(text)")
    }
}

@Suite struct SignsOfLifeTests {
    private func mark(_ size: UInt64, at seconds: Int64 = 0) -> SignsOfLife.Mark {
        .init(size: size, inode: 1, modified: .init(seconds: seconds, nanoseconds: 0))
    }

    @Test func onlyWhatNeitherWritesNorComputesForTheWholeTimeIsStalled() {
        var signs = SignsOfLife(limitNanoseconds: 180, now: 0)
        func stalls(_ output: SignsOfLife.Mark, _ cpuTicks: UInt64, _ now: UInt64) -> Bool {
            signs.observe(output: output, cpuTicks: cpuTicks, now: now)
        }
        #expect(!stalls(mark(1), 0, 100))
        #expect(!stalls(mark(1), 0, 279))
        #expect(stalls(mark(1), 0, 280))
        #expect(!stalls(mark(1), 1, 281), "it computes")
        #expect(stalls(mark(1), 1, 500))
        #expect(!stalls(mark(1, at: 9), 1, 501), "it draws progress that is not kept")
    }
}
