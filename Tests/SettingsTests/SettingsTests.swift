import Glibc
import LinuxKit
import Testing

@testable import Settings

@Suite struct ConfigurationFileTests {
    @Test func anEmptyFileGivesTheDefaults() {
        let loaded = AgentConfiguration.read("", source: "c.toml")
        #expect(loaded.configuration == AgentConfiguration() && loaded.errors.isEmpty)
    }

    @Test func valuesAreRead() {
        let loaded = AgentConfiguration.read(
            """
            [storage]
            volumes = ["/mnt/my-storage"]
            [gpu]
            sample_interval_ms = 500
            [setup]
            enabled = false
            allowed_owners = [1000]
            """, source: "c.toml")
        #expect(loaded.errors.isEmpty)
        #expect(loaded.configuration.storage.volumes == ["/mnt/my-storage"])
        #expect(loaded.configuration.gpu.sampleIntervalMilliseconds == 500)
        #expect(loaded.configuration.setup.allowedOwners == [1000] && !loaded.configuration.setup.enabled)
        #expect(loaded.origins["gpu.sample_interval_ms"] == "c.toml")
    }

    @Test(arguments: [
        (
            "[metrics]\nlisten = \"9400\"",
            "c.toml:2:1: metrics.listen must be ADDRESS:PORT, such as 127.0.0.1:9400 or [::1]:9400"
        ),
        ("[gpu]\nsample_interval_ms = 5", "c.toml:2:1: gpu.sample_interval_ms must be from 250 to 60000"),
        ("[gpu]\n\n  library = 7", "c.toml:3:3: gpu.library must be a string"),
        ("[gpu]\nlibary = \"x\"", "c.toml:2:1: unknown key \"libary\" in [gpu]; did you mean \"library\"?"),
        ("# x\n [stroage]\n", "c.toml:2:3: unknown table or key \"stroage\"; did you mean \"storage\"?"),
        ("gpu = 1", "c.toml:1:1: \"gpu\" must be a table: write [gpu]"),
        ("[storage]\nvolumes = [\"mnt\"]", "c.toml:2:1: storage.volumes must be an absolute path"),
        (
            "[storage]\nrules = [\"/mnt/* nfs forever\"]",
            "c.toml:2:1: storage.rules must give one of container, pod, node, volume, image, kernel, unknown as the third word, not \"forever\""
        ),
        ("[setup]\nscript = \"../x\"", "c.toml:2:1: setup.script must be a relative path without \"..\""),
    ]) func aMistakeIsNamedWithLineAndColumn(text: String, message: String) {
        #expect(AgentConfiguration.read(text, source: "c.toml").errors.map(\.description) == [message])
    }

    @Test func aSyntaxErrorHasItsPlaceAndKeepsTheDefaults() {
        let loaded = AgentConfiguration.read("[gpu]\nlibrary = \"x\nenabled = true\n", source: "c.toml")
        #expect(loaded.errors.count == 1 && loaded.errors.first?.line == 2)
        #expect(loaded.configuration == AgentConfiguration())
    }

    @Test func oneMistakeLeavesTheOtherKeys() {
        let loaded = AgentConfiguration.read("[gpu]\nenabled = 3\nlibrary = \"/x.so\"", source: "c.toml")
        #expect(loaded.configuration.gpu.library == "/x.so" && loaded.errors.count == 1)
    }

    @Test func variablesOverrideTheFile() {
        let loaded = AgentConfiguration.load(
            path: "/nonexistent/config.toml",
            environment: [
                "PACKET_AGENT_METERING_INTERVAL_S": "5", "PACKET_AGENT_STORAGE_VOLUMES": "/mnt/a,/mnt/b",
                "PACKET_AGENT_GPU_ENABLED": "maybe", "PACKET_AGENT_TYPO": "1",
            ])
        #expect(loaded.configuration.metering.intervalSeconds == 5)
        #expect(loaded.configuration.storage.volumes == ["/mnt/a", "/mnt/b"])
        #expect(
            loaded.errors.map(\.description) == [
                "PACKET_AGENT_GPU_ENABLED: must be true or false", "PACKET_AGENT_TYPO: no such setting",
            ])
    }

    @Test func everySettingHasItsOwnNameAndRoundTrips() {
        #expect(Set(Setting.all.map(\.path)).count == Setting.all.count)
        #expect(Set(Setting.all.map(\.variable)).count == Setting.all.count)
    }

    @Test func noMistakeBringsControlsToTheTerminal() {
        let evil = "\u{1b}[2J\u{9b}31m\u{202e}"
        let texts = [
            "[\"\(evil)\"]", "[gpu]\n\"\(evil)\" = 1", "[storage]\nrules = [\"\(evil) x y\"]",
            "[control_plane]\nurl = \"\(evil)\"",
            "\(evil)", "[agent]\nlog_level = \"\(evil)\"",
        ]
        for text in texts {
            let errors = AgentConfiguration.read(text, source: "f").errors
            #expect(!errors.isEmpty)
            for error in errors { #expect(TerminalText.escape(error.description) == error.description) }
        }
        let errors = AgentConfiguration.load(
            path: "/nonexistent", environment: ["PACKET_AGENT_\(evil)": "1", "PACKET_AGENT_STORAGE_RULES": evil]
        ).errors
        #expect(errors.count == 2)
        for error in errors { #expect(TerminalText.escape(error.description) == error.description) }
    }

    @Test func randomTextNeverCrashesTheReader() {
        let pieces = [
            "[gpu]", "[", "]", "=", "\"", "'''", "\n", "library", "1", "#", "\u{0}", "é", ".", "{", "enabled = true",
        ]
        for _ in 0..<2000 {
            let text = (0..<Int.random(in: 0..<20)).compactMap { _ in pieces.randomElement() }.joined()
            _ = AgentConfiguration.read(text, source: "c.toml")
        }
    }
}

@Suite struct WebAddressTests {
    @Test(arguments: [
        "ftp://host", "file:///etc/passwd", "//host", "host:80", "gopher://host", "http:/host", "http://", "https:///x",
        "http://user:secret@host", "https://token@host/x", "http://a b", "http://host\\@evil", "http://h\u{f6}st",
        "http://169.254.169.254", "http://169.254.169.254:80/latest", "http://0xa9fea9fe", "http://2852039166",
        "http://0251.0376.0251.0376", "http://169.254.43518/", "http://[fe80::1]", "http://[fe80::1%25eth0]:80",
        "http://[FEBF::1]/", "http://[::ffff:169.254.169.254]", "http://[::ffff:a9fe:a9fe]",
        "https://[fd00:ec2::254]", "http://host:0", "http://host:x", "http://a:b:c", "http://:80", "http://host?x=1",
        "http://host#x",
    ])
    func whatLeadsElsewhereIsRefused(text: String) {
        let loaded = AgentConfiguration.load(
            path: "/nonexistent", environment: ["PACKET_AGENT_CONTROL_PLANE_URL": text])
        #expect(loaded.errors.count == 1)
        #expect(loaded.configuration.controlPlane.url.isEmpty)
        #expect(loaded.errors.allSatisfy { !$0.description.contains("secret") && !$0.description.contains("token@") })
    }

    @Test(arguments: [
        "http://127.0.0.1:8080", "https://plane.example/base", "http://[::1]:80", "http://10.0.0.1", "http://host",
        "https://collector.example:4318/otlp/", "http://169.253.0.1",
    ])
    func aPlainAddressIsTaken(text: String) throws {
        _ = try WebAddress(text)
    }

    @Test func encryptionAndLoopbackAreKnown() throws {
        #expect(try WebAddress("https://host").isEncrypted)
        #expect(try WebAddress("http://127.1").isLoopback)
        #expect(try WebAddress("http://[::1]").isLoopback)
        #expect(try WebAddress("http://localhost:1").isLoopback)
        #expect(try !WebAddress("http://10.0.0.1").isLoopback)
    }
}

@Suite(.enabled(if: getuid() == 0)) struct ConfigurationPermissionTests {
    @Test func noFileAtAllCanBeSaidAsDevNull() {
        #expect(AgentConfiguration.load(path: "/dev/null", environment: [:]).errors.isEmpty)
    }

    private func load(mode: UInt32, uid: UInt32 = 0, gid: UInt32 = 0) throws -> AgentConfiguration.Loaded {
        var template = Array("/tmp/settings.XXXXXX".utf8CString)
        let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
        let path = directory + "/config.toml"
        defer {
            unlink(path)
            rmdir(directory)
        }
        try AtomicFile.write("[gpu]\nsample_interval_ms = 2000\n".utf8, to: path, mode: mode)
        chown(path, uid, gid)
        return AgentConfiguration.load(path: path, environment: [:])
    }

    @Test(arguments: [(0o646, 0, 0), (0o644, 1234, 0), (0o664, 0, 1234), (0o777, 0, 0)] as [(UInt32, UInt32, UInt32)])
    func rootUsesNoFileThatOthersCouldHaveWritten(mode: UInt32, uid: UInt32, gid: UInt32) throws {
        let loaded = try load(mode: mode, uid: uid, gid: gid)
        #expect(loaded.configuration == AgentConfiguration())
        #expect(loaded.errors.count == 1 && loaded.errors[0].message.contains("chmod go-w"))
    }

    @Test(arguments: [(0o644, 0), (0o600, 0), (0o664, 0), (0o640, 1234)] as [(UInt32, UInt32)])
    func aFileOfRootIsRead(mode: UInt32, gid: UInt32) throws {
        let loaded = try load(mode: mode, gid: gid)
        #expect(loaded.errors.isEmpty)
        #expect(loaded.configuration.gpu.sampleIntervalMilliseconds == 2000)
    }
}

@Suite struct StorageRuleTests {
    @Test func aRuleHasTheFieldsOfALineOfFstab() throws {
        let rule = try StorageRule(#"/mnt/my\040disk/** virtiofs|9p volume  the site's NFS, shared"#)
        #expect(rule.mountPoint == Array("/mnt/my disk/**".utf8))
        #expect(rule.filesystems == ["virtiofs", "9p"])
        #expect(rule.lifetime == "volume" && rule.reason == "the site's NFS, shared")
        let short = try StorageRule("/scratch * pod")
        #expect(short.filesystems.isEmpty && short.reason == "said by the configuration (storage.rules)")
    }

    @Test(arguments: [
        "", "/mnt", "/mnt *", "mnt * pod", "/mnt * gone", #"/mnt\ * pod"#, #"/mnt\9 * pod"#, #"/mnt\000 * pod"#,
    ]) func whatIsNoRuleIsRefused(text: String) {
        #expect(throws: StorageRule.Refusal.self) { try StorageRule(text) }
    }
}

@Suite struct TOMLValuesTests {
    @Test func textsAndTruthValuesAreFoundByTheirKeys() throws {
        let values = try #require(
            TOMLValues("a = 'x'\n[t.u]\nb = true\nc = 1\n[[t.list]]\nn = '1'\n[[t.list]]\nn = '2'\n[e]\nd.f = \"g\""))
        #expect(values.string(["a"]) == "x" && values.string(["e", "d", "f"]) == "g")
        #expect(values.boolean(["t", "u", "b"]) == true)
        #expect(values.string(["t", "u", "c"]) == nil && values.boolean(["a"]) == nil)
        #expect(values.contains(["t"]) && values.contains(["t", "u"]) && values.contains(["t", "list"]))
        #expect(values.contains(["e", "d"]) && !values.contains(["a"]) && !values.contains(["x"]))
        #expect(TOMLValues("[empty]")?.contains(["empty"]) == true)
    }

    @Test func whatIsNoTOMLGivesNothing() {
        for text in ["a =", "[t", "[[t]\n", "a = 1\na = 2"] { #expect(TOMLValues(text) == nil) }
    }
}

@Suite struct TOMLDocumentTests {
    private func values(_ text: String) throws -> [String: TOMLDocument.Value] {
        Dictionary(
            uniqueKeysWithValues: try TOMLDocument(text).entries.map { ($0.path.joined(separator: "."), $0.value) })
    }

    @Test func theSpellingsOfTOMLAreRead() throws {
        let read = try values(
            """
            a.b = "x\\u00e9\\n" # comment
            'c d' = 'no \\escape'
            e = [ 1, 0x1F, # inside
              -2_000, ]
            f = { g = true, h.i = "j" }
            [k]
            l = \"""
            two
            lines\"""
            m = 1979-05-27T07:32:00Z
            """)
        #expect(read["a.b"] == .string("xé\n"))
        #expect(read["c d"] == .string("no \\escape"))
        #expect(read["e"] == .array([.integer(1), .integer(31), .integer(-2000)]))
        #expect(read["f.g"] == .boolean(true) && read["f.h.i"] == .string("j"))
        #expect(read["k.l"] == .string("two\nlines"))
        #expect(read["k.m"] == .other("1979-05-27T07:32:00Z"))
    }

    @Test(arguments: [
        ("a = ", 1, 5), (".a = 1", 1, 1), ("a = 1 b", 1, 7), ("a = [1,\n2", 2, 2), ("\n[a\nb = 1", 2, 3),
        ("a = 1\na = 2", 2, 1), ("a = yes", 1, 5), ("a = \"\\q\"", 1, 7), ("a = 'x", 1, 5),
    ]) func aSyntaxErrorHasItsPlace(text: String, line: Int, column: Int) {
        let error = #expect(throws: TOMLDocument.SyntaxError.self) { try TOMLDocument(text) }
        #expect(error?.place == .init(line: line, column: column), "\(String(describing: error))")
    }

    @Test func deepNestingIsRefusedWithoutExhaustingTheStack() {
        #expect(throws: TOMLDocument.SyntaxError.self) {
            try TOMLDocument("a = " + String(repeating: "[", count: 100_000))
        }
    }
}

@Suite struct PrimaryVolumeTests {
    let two = [(name: "a", mountPoint: "/mnt/a"), (name: "b", mountPoint: "/mnt/b")]

    @Test func theConfiguredOneWins() {
        #expect(
            PrimaryVolume.choose(configured: "b", snapshot: "a", volumes: two)
                == .chosen(index: 1, why: "configured (storage.primary_volume)"))
        #expect(
            PrimaryVolume.choose(configured: "/mnt/b", snapshot: nil, volumes: two)
                == .chosen(index: 1, why: "configured (storage.primary_volume)"))
    }

    @Test func aConfiguredOneThatIsAbsentIsNotReplacedByAnother() {
        #expect(
            PrimaryVolume.choose(configured: "c", snapshot: nil, volumes: two)
                == .none(why: "the configured primary volume c is not mounted"))
    }

    @Test func theSnapshotsThenTheOnlyOne() {
        #expect(
            PrimaryVolume.choose(configured: "", snapshot: "b", volumes: two)
                == .chosen(index: 1, why: "named by the snapshot"))
        #expect(
            PrimaryVolume.choose(configured: "", snapshot: nil, volumes: [two[0]])
                == .chosen(index: 0, why: "the only volume"))
        #expect(
            PrimaryVolume.choose(configured: "", snapshot: nil, volumes: two)
                == .none(why: "several volumes are mounted (a, b); set storage.primary_volume"))
    }
}
