import Glibc
import LinuxKit
import Support
import Testing

@testable import Boot

/// Others who may write to the volume exchange scripts, links and directories while root takes setup.sh off it.
@Suite(.enabled(if: getuid() == 0)) struct RaceTests {
    private let scratch: Scratch
    private var volume: String { scratch.path + "/volume" }
    private static let good = "#!/bin/sh\necho good\n"

    init() throws {
        scratch = try Scratch()
        let outcome = try ChildProcess.capture(
            .init(
                executable: "/bin/bash",
                arguments: [
                    "-ec",
                    """
                    cd \(scratch.path); mkdir -p volume/d volume/evil-d outside copies; chmod 777 volume
                    printf '%s' '\(Self.good)' | tee volume/good.sh volume/d/setup.sh > volume/setup.sh
                    printf '#!/bin/sh\\necho evil\\n' | tee outside/setup.sh volume/evil-d/setup.sh > volume/evil.sh
                    chmod 755 volume/*.sh volume/d/*.sh outside/*.sh; chown 1234:1234 volume/evil.sh volume/evil-d/setup.sh
                    ln -s ../outside/setup.sh volume/link.sh; ln -s ../outside volume/link-d
                    cp -p volume/evil.sh volume/open.sh; chown 0:0 volume/open.sh; chmod 777 volume/open.sh
                    mkfifo volume/fifo.sh
                    """,
                ], environment: ["PATH": "/usr/sbin:/usr/bin:/bin"]), milliseconds: 20_000)
        #expect(outcome.termination == .exited(0))
    }

    /// The text that would run; nil when nothing would.
    private func fetch(_ script: String, _ way: VolumeOpening.Way) throws -> String? {
        let request = SetupRequest(
            mountPoint: volume, script: script, directory: "", copies: scratch.path + "/copies", owners: [],
            isStrict: false, user: "owner", way: way)
        guard let found = try SetupSource(request).scripts().first, found.finding == .ready else { return nil }
        return try LocalFile.readText(found.path)
    }

    @Test(arguments: ["evil.sh", "link.sh", "open.sh", "fifo.sh"], [VolumeOpening.Way.kernel, .walk])
    func onlyTheTrustedScriptEverRuns(other: String, way: VolumeOpening.Way) throws {
        try race("setup.sh", ("setup.sh", other), way)
    }

    @Test(arguments: ["evil-d", "link-d"], [VolumeOpening.Way.kernel, .walk])
    func onlyTheTrustedDirectoryIsEverEntered(other: String, way: VolumeOpening.Way) throws {
        try race("d/setup.sh", ("d", other), way)
    }

    private func race(_ script: String, _ pair: (String, String), _ way: VolumeOpening.Way) throws {
        let racer = try Racer([(volume + "/" + pair.0, volume + "/" + pair.1)])
        var (good, refused) = (0, 0)
        for _ in 0..<Racer.tries {
            guard let text = try fetch(script, way) else {
                refused += 1
                continue
            }
            good += 1
            if text != Self.good {
                Issue.record("an untrusted script would run: \(text)")
                break
            }
        }
        let exchanges = racer.stop()
        #expect(good > 0 && refused > 0 && exchanges > 0, "\(good) good, \(refused) refused, \(exchanges) exchanges")
    }
}
