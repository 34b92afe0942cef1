import Glibc
import LinuxKit
import Testing

@testable import Boot

@Suite(.timeLimit(.minutes(5))) struct SetupDirectoryTests {
    let scratch: Scratch
    let pod: SetupPod

    init() throws {
        scratch = try Scratch()
        pod = SetupPod(path: scratch.path)
    }

    private func part(_ name: String, _ text: String, mode: UInt32 = 0o755) throws {
        mkdir(pod.volume + "/setup.d", 0o755)
        let path = pod.volume + "/setup.d/" + name
        try AtomicFile.write(text.utf8, to: path)
        chmod(path, mode)
    }

    @Test func theScriptComesFirstAndTheDirectorysInTheOrderOfTheirNames() throws {
        try part("20-b.sh", "#!/bin/sh\necho b >>order\n")
        try part("10-a.sh", "#!/bin/sh\necho a >>order\n")
        try part("readme.txt", "not a script")
        try part(".hidden.sh", "#!/bin/sh\necho hidden >>order\n")
        try part("9-c.sh", "#!/bin/sh\necho c >>order\n")
        try pod.script("#!/bin/sh\necho first >>order\n")
        let record = pod.run()
        #expect(record.state == .succeeded)
        #expect(try pod.text("order") == "first\na\nb\nc\n")
        #expect(record.scripts?.map(\.name) == ["setup.sh", "setup.d/10-a.sh", "setup.d/20-b.sh", "setup.d/9-c.sh"])
        #expect(pod.log.contains("[packet-agent: setup.d/20-b.sh]"))
        #expect(pod.run() == record, "nothing runs twice")
        #expect(try pod.text("order") == "first\na\nb\nc\n")
        var off = pod
        off.options.directory = ""
        #expect(off.run(force: true).scripts?.count == 1)
    }

    @Test func theDirectoryAloneIsEnough() throws {
        try part("a.sh", "#!/bin/sh\necho alone\n")
        #expect(pod.run().state == .succeeded)
        #expect(pod.log == "alone\n")
    }

    @Test func oneThatFailsOrIsRefusedStopsNoOther() throws {
        try part("1.sh", "#!/bin/sh\necho 1 >>order; exit 4\n")
        try part("2.sh", "#!/bin/sh\necho 2 >>order\n", mode: 0o777)
        try part("3.sh", "#!/bin/sh\necho 3 >>order\n")
        let record = pod.run()
        #expect(record.state == .failed && record.exitCode == 4)
        #expect(record.reason == "setup.d/1.sh: it ended with status 4")
        #expect(record.scripts?.map(\.state) == [.failed, .refused, .succeeded])
        #expect(try pod.text("order") == "1\n3\n")
        // Mended, only that one runs.
        try part("2.sh", "#!/bin/sh\necho 2 >>order\n")
        #expect(pod.run().scripts?.map(\.state) == [.failed, .succeeded, .succeeded])
        #expect(try pod.text("order") == "1\n3\n2\n")
    }

    @Test func theTimeIsForAllTogether() throws {
        var pod = pod
        pod.options.timeoutMilliseconds = 1500
        pod.options.graceMilliseconds = 100
        try part("1.sh", "#!/bin/sh\nexec sleep 300\n")
        try part("2.sh", "#!/bin/sh\ntouch ran\n")
        let record = pod.run()
        #expect(record.state == .timeout)
        #expect(record.scripts?.map(\.state) == [.timeout, .failed])
        #expect(record.scripts?.last?.reason?.contains("was not started") == true)
        #expect(!pod.exists("ran"))
    }

    @Test func aDirectoryOthersCanWriteIsAWarningAndRefusedWhenStrict() throws {
        try part("1.sh", "#!/bin/sh\n")
        chmod(pod.volume + "/setup.d", 0o777)
        let record = pod.run()
        #expect(record.state == .succeeded)
        #expect(record.warnings.contains { $0.contains("setup.d can be written by everybody") }, "\(record.warnings)")
        var strict = pod
        strict.options.isStrict = true
        #expect(strict.run(force: true).reason?.contains("setup.strict") == true)
        chmod(pod.volume + "/setup.d", 0o1777)
        #expect(strict.run(force: true).state == .succeeded, "in a sticky directory nobody replaces another's file")
        chmod(pod.volume, 0o777)
        #expect(strict.run(force: true).state == .refused)
        #expect(pod.run(force: true).warnings.contains { $0.hasPrefix("\(pod.volume) can be written") })
    }
}
