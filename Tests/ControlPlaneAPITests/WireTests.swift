import ControlPlaneAPI
import FoundationEssentials
import Testing
import UsageRecord

func text(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}

func value<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
    try JSONDecoder().decode(type, from: Data(text.utf8))
}

@Suite struct TimestampTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-11-23T23:06:07.089Z", 1_795_475_167_089),
            ("2026-11-23T23:06:07.0899999Z", 1_795_475_167_089), ("2026-11-24T00:06:07+01:00", 1_795_475_167_000),
            ("1969-12-31T23:59:59.5Z", -500), ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000), ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ] as [(String, Int64)]) func aTimestampIsRead(text: String, milliseconds: Int64)
    {
        #expect(Timestamp(text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "2026-11-23", "2026-11-23 00:00:00Z", "2026-11-23T00:00:00", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-11-31T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T00:00:00.Z",
        "2026-11-23T00:00:00Zx",
        "2026-11-23T00:00:00+1:00", "12026-11-23T00:00:00Z", "٢٠26-11-23T00:00:00Z",
    ]) func whatIsNotATimestampIsRefused(text: String) { #expect(Timestamp(text) == nil) }

    @Test func everyInstantSurvivesItsText() {
        for _ in 0..<5000 {
            let instant = Timestamp(milliseconds: .random(in: Timestamp.range))
            #expect(Timestamp(instant.description) == instant)
        }
        #expect(Timestamp(milliseconds: .max).description == "9999-12-31T23:59:59.999Z")
    }
}

@Suite struct SnapshotTests {
    let documented = """
        {"createdAt":"2026-11-23T00:00:00.000Z","deployScript":"vllm","displayName":"my-vllm-setup",\
        "hfItemId":"meta-llama/Llama-3.1-8B-Instruct","id":"snap-1","imageUuid":"abc123","instanceTypeId":"medium",\
        "persistentVolumeId":42,"persistentVolumeName":"my-storage-volume","persistentVolumeSize":50,"poolId":"12",\
        "poolName":"H100 80GB NVLink","snapshotType":"full","vgpus":1}
        """

    @Test func theDocumentedFieldsSurviveTheWire() throws {
        #expect(try text(value(Snapshot.self, documented)) == documented)
    }

    @Test func aLegacySnapshotIsRead() throws {
        let legacy = try value(
            Snapshot.self,
            """
            {"id":"old","createdAt":"2025-01-01T00:00:00Z","name":"old one","poolId":12,"vgpus":2,
            "persistentVolumeName":"my-storage","hfModel":"llama-3.1-8b"}
            """)
        #expect(
            legacy.shape.poolID == "12" && legacy.shape.hfItemID == "llama-3.1-8b"
                && legacy.shape.displayName == "old one")
        #expect(legacy.volume == .init(id: nil, name: "my-storage") && legacy.snapshotType == "full")
        #expect(try text(legacy).contains("\"persistentVolumeId\":null"), "what is absent is null")
    }

    @Test func aSnapshotWithoutAVolumeIsATemplate() {
        let snapshot = Snapshot(
            id: "s", shape: .init(displayName: "x", poolID: "1", vgpus: 1), createdAt: .init(milliseconds: 0))
        #expect(snapshot.snapshotType == "template")
    }

    @Test func aRequestIsANameOrTheFields() throws {
        let name = try value(SnapshotRequest.self, #"{"name":"n"}"#)
        #expect(name == SnapshotRequest(name: "n"))
        #expect(try text(name) == #"{"name":"n"}"#)
        let fields = try value(SnapshotRequest.self, documented)
        #expect(fields.shape?.poolName == "H100 80GB NVLink" && fields.volume.id == 42)
        #expect(try value(SnapshotRequest.self, text(fields)) == fields)
        #expect(throws: DecodingError.self) { try value(SnapshotRequest.self, #"{"poolId":1}"#) }
    }
}

@Suite struct AnswerTests {
    @Test func aHelloAnswerHasEveryKey() throws {
        let answer = HelloAnswer(
            serverTime: .init(milliseconds: 0), sampleIntervalMilliseconds: 1000, intervalMilliseconds: 60_000,
            reportIntervalMilliseconds: 60_000, durable: [.init(epoch: "e", throughSeq: 3)])
        #expect(
            try text(answer) == """
                {"durable":[{"epoch":"e","through_seq":3}],"expected_volume":null,"features":null,\
                "interval_ms":60000,"report_interval_ms":60000,"sample_interval_ms":1000,"server_time":"1970-01-01T00:00:00.000Z",\
                "snapshot":null,"subscription":null}
                """)
        #expect(try value(HelloAnswer.self, text(answer)) == answer)
    }

    @Test func aBootFeatureThatIsNotNamedIsOn() throws {
        var features = BootFeatures()
        features.switchOff(.setup)
        #expect(try value(BootFeatures.self, #"{"setup":false,"something_new":false}"#) == features)
        #expect(try value(BootFeatures.self, text(features)) == features)
    }

    @Test func onlyARefusedTerminationNamesWhatIsAtRisk() throws {
        #expect(
            try text(ErrorAnswer(.init(code: "not_found", message: "m")))
                == #"{"error":{"code":"not_found","message":"m"}}"#)
        #expect(
            try text(ErrorAnswer(.init(code: "data_at_risk", message: "m")))
                == #"{"error":{"at_risk":null,"code":"data_at_risk","message":"m"}}"#)
    }

    @Test func aSubscriptionShowsItsTokenOnlyWhenItHasOne() throws {
        var subscription = Subscription(
            id: "sub-1", podUID: "u", shape: .init(displayName: "d", poolID: "1", vgpus: 1), sharedVolumeIDs: [4],
            state: .active,
            createdAt: .init(milliseconds: 0))
        #expect(try !text(subscription).contains("podToken"))
        subscription.podToken = "secret"
        #expect(try text(subscription).contains(#""podToken":"secret""#))
        #expect(try value(Subscription.self, text(subscription)) == subscription)
    }

    @Test func anyJSONSurvivesAReport() throws {
        let report = try value(
            PodReport.self,
            #"{"doctor":{"exit":1,"list":[null,true,1.5,-3,"x",{}]},"at_risk":{"total_bytes":18446744073709551615,"total_files":1,"complete":false,"as_of":"2026-11-23T00:00:00Z"}}"#
        )
        #expect(report.atRisk?.totalBytes == .max && report.boot == nil)
        #expect(try value(PodReport.self, text(report)) == report)
    }

    @Test(arguments: [
        ("my-storage", true), ("a", true), ("", false), ("..", false), (".x", false), ("a/b", false), ("a b", false),
        ("é", false), (String(repeating: "a", count: 64), false),
    ])
    func aVolumeNameIsADirectoryBelowMnt(name: String, valid: Bool) {
        #expect(SharedVolume.isValid(name: name) == valid)
    }
}
