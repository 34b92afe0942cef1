@testable import Settings
import Testing

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

@Suite struct EndpointTests {
    @Test(arguments: [
        "http://127.0.0.1:4318", "https://collector.example", "https://collector.example:4318/otlp/",
        "http://[::1]:4318",
        "http://10.0.0.7", "http://169.253.0.1",
    ]) func ordinaryReceiversAreTaken(_ url: String) throws {
        #expect(try !Endpoint(url).url.hasSuffix("/"))
    }

    @Test(arguments: [
        "http://169.254.169.254", "http://169.254.1:80", "http://2852039166", "http://0xa9fea9fe/x", "http://[fe80::1]",
        "http://[fe80::1%25eth0]:80", "http://[::ffff:169.254.169.254]", "https://[fd00:ec2::254]",
    ]) func theNodesOwnServicesAreRefused(_ url: String) {
        #expect(throws: Endpoint.Refusal(reason: "must not be a link-local address: the node's own services are there"))
        {
            try Endpoint(url)
        }
    }

    @Test(arguments: [
        "ftp://host", "host:80", "http://", "http://:80", "http://user:pw@host", "http://host:0", "http://host:x",
        "http://a b", "http://host?x=1", "http://host#x", "http://a:b:c", "http://host\\@x",
    ]) func nonsenseAndCredentialsAreRefused(_ url: String) {
        #expect(throws: Endpoint.Refusal.self) { try Endpoint(url) }
    }
}
