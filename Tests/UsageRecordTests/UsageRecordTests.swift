import Testing
import UsageRecord

func sample(seq: UInt64 = 7, content: UsageRecord.Content? = nil) -> UsageRecord {
    UsageRecord(
        podUID: "4c1f7c4e-0000-4000-8000-000000000001", epoch: String(repeating: "0af3", count: 8), seq: seq,
        gpuUUID: "GPU-11111111-2222-3333-4444-555555555555", bootID: "b", startMilliseconds: 1000,
        endMilliseconds: 61_000,
        endRealtimeMilliseconds: 1_795_475_167_089,
        content: content
            ?? .interval(
                .init(
                    observedMilliseconds: 60_000, busyMilliseconds: 30_000, energyMillijoules: 21_000_000,
                    memoryByteMilliseconds: 5_153_960_755_200_000, samples: 60, expectedSamples: 60)))
}

@Suite struct CloudEventTests {
    @Test func aRecordHasOneSpelling() {
        #expect(
            String(decoding: CloudEvent.encode(sample()), as: UTF8.self) == """
                {"specversion":"1.0","id":"0af30af30af30af30af30af30af30af3:7",\
                "source":"//packet/pods/4c1f7c4e-0000-4000-8000-000000000001","type":"com.packet.gpu.usage.v1",\
                "subject":"4c1f7c4e-0000-4000-8000-000000000001","time":"2026-11-23T23:06:07.089Z",\
                "datacontenttype":"application/json","data":{"pod_uid":"4c1f7c4e-0000-4000-8000-000000000001",\
                "epoch":"0af30af30af30af30af30af30af30af3","seq":7,"gpu_uuid":"GPU-11111111-2222-3333-4444-555555555555",\
                "boot_id":"b","start_ms":1000,"end_ms":61000,"end_realtime_ms":1795475167089,"observed_ms":60000,\
                "busy_ms":30000,"energy_mj":21000000,"memory_byte_ms":5153960755200000,"samples":60,"expected_samples":60}}
                """)
    }

    @Test(arguments: UsageRecord.GapCause.allCases) func aGapSurvivesTheWire(cause: UsageRecord.GapCause) throws {
        let gap = sample(content: .gap(cause))
        #expect(try CloudEvent.decode(CloudEvent.encode(gap)) == gap)
    }

    @Test func whatIsNotSupportedIsAbsentAndStaysAbsent() throws {
        let record = sample(content: .interval(.init(observedMilliseconds: 1, samples: 1, expectedSamples: 60)))
        let bytes = CloudEvent.encode(record)
        #expect(!String(decoding: bytes, as: UTF8.self).contains("busy_ms"))
        #expect(try CloudEvent.decode(bytes) == record)
    }

    @Test func awkwardTextSurvivesTheWire() throws {
        var record = sample()
        record.gpuUUID = "GPU-\"\\\n\u{1}é"
        #expect(try CloudEvent.decode(CloudEvent.encode(record)) == record)
    }

    @Test(arguments: [
        ("\"end_ms\":61000", "\"end_ms\":1000", "the span is empty"),
        ("\"observed_ms\":60000", "\"observed_ms\":60001", "longer than the span"),
        ("\"busy_ms\":30000", "\"busy_ms\":60001", "longer than observed_ms"),
        ("\"seq\":7", "\"seq\":8", "id is not"),
        ("\"seq\":7", "\"seq\":\"7\"", "data.seq has the wrong type"),
        ("usage.v1", "usage.v9", "type is unknown"),
        ("\"samples\":60,", "", "is missing"),
    ]) func aBrokenEventIsNamed(find: String, replace: String, reason: String) {
        let text = String(decoding: CloudEvent.encode(sample()), as: UTF8.self)
        let broken = text.split(separator: find, omittingEmptySubsequences: false).joined(separator: replace)
        let error = #expect(throws: RecordError.self) { try CloudEvent.decode(Array(broken.utf8)) }
        #expect(error?.description.contains(reason) == true, "\(String(describing: error))")
    }
}

@Suite struct BatchTests {
    @Test func aBatchGivesBackTheExactBytes() throws {
        let events = (0..<5).map { CloudEvent.encode(sample(seq: $0)) }
        #expect(try Batch.split(Batch.body(of: events)).map(Array.init) == events)
        #expect(try Batch.split(Array(" [ ] ".utf8)).isEmpty)
    }

    @Test(arguments: ["", "{}", "[1]", "[{}", "[{},]", "[{}] x", "[{\"a\":\"}]", "[[{}]]"])
    func whatIsNotABatchIsRefused(text: String) {
        #expect(throws: RecordError.self) { try Batch.split(Array(text.utf8)) }
    }

    @Test func randomBytesNeverCrashTheReaders() {
        var generator = SystemRandomNumberGenerator()
        let valid = Batch.body(of: [CloudEvent.encode(sample())])
        for _ in 0..<3000 {
            var bytes = valid
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
                    in: .min ... .max, using: &generator)
            }
            for part in (try? Batch.split(bytes)) ?? [] { _ = try? CloudEvent.decode(part) }
            _ = Acknowledgement.parse(bytes)
        }
    }

    @Test func theDigestIsSHA256() {
        #expect(Batch.digest(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }
}
