import ControlPlaneAPI
import FoundationEssentials
import GRDB
import HTTPTypes
import HummingbirdTesting
import Ledger
import Testing
import UsageRecord

@testable import packet_control

@Suite struct UsageTests {
    @Test func whatWasAcknowledgedIsInAReopenedDatabase() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let pod = try await client.makePod()
            let records = [
                record(of: pod.podUID, seq: 0, 0..<1000),
                record(of: pod.podUID, seq: 1, 1000..<1500, cause: .agentDown),
            ]
            let answer = try await client.usage(records, of: pod)
            #expect(answer.status == 200)
            // A second connection of its own sees only what is in the file, as one after a kill would.
            let reopened = try Store(path: plane.database)
            let stored = try await reopened.pool.read { db in
                try Row.fetchAll(db, sql: "SELECT event, sha256 FROM usage_record ORDER BY seq").map {
                    row -> (bytes: [UInt8], sha256: String) in
                    (Array(row["event"] as Data), row["sha256"])
                }
            }
            #expect(stored.map(\.bytes) == records.map(CloudEvent.encode), "the exact bytes are kept")
            #expect(stored.allSatisfy { $0.sha256 == Batch.digest($0.bytes) })
            #expect(
                try await reopened.marks(ofPod: pod.podUID, including: []) == [.init(epoch: epoch(), throughSeq: 1)])
            try reopened.close()
        }
    }

    @Test func theDatabaseIsWrittenThroughToTheDisk() throws {
        let plane = try TestPlane()
        let (mode, synchronous, keys) = try plane.plane.store.pool.writeWithoutTransaction { db in
            (
                try String.fetchOne(db, sql: "PRAGMA journal_mode"), try Int.fetchOne(db, sql: "PRAGMA synchronous"),
                try Int.fetchOne(db, sql: "PRAGMA foreign_keys")
            )
        }
        #expect(mode == "wal" && synchronous == 2 && keys == 1, "synchronous 2 is FULL")
    }

    @Test func migrationsAreDoneOnceAndANewerDatabaseIsRefused() throws {
        let plane = try TestPlane()
        for _ in 0..<2 { try Store(path: plane.database).close() }
        try plane.plane.store.pool.write { db in
            #expect(try Store.migrator.completedMigrations(db).count == Store.migrator.migrations.count)
            try db.execute(sql: "INSERT INTO grdb_migrations VALUES ('9999: the future')")
        }
        #expect(throws: Store.StoreProblem.self) { try Store(path: plane.database) }
    }

    @Test(arguments: UInt64(1)...8) func theDatabaseDecidesAsTheModelDoes(seed: UInt64) async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let pod = try await client.makePod()
            var model = InMemoryLedger()
            var generator = SeededGenerator(seed: seed)
            for _ in 0..<12 {
                let records = (0..<Int.random(in: 0...10, using: &generator)).map { _ -> UsageRecord in
                    let start = UInt64.random(in: 0..<200, using: &generator)
                    return record(
                        of: Int.random(in: 0..<12, using: &generator) == 0 ? "other" : pod.podUID,
                        epoch: Int.random(in: 1...2, using: &generator),
                        seq: .random(in: 0..<15, using: &generator),
                        gpu: "GPU-\(Int.random(in: 0..<2, using: &generator))",
                        start..<start + .random(in: 1...20, using: &generator),
                        cause: Bool.random(using: &generator)
                            ? UsageRecord.GapCause.allCases.randomElement(using: &generator) : nil,
                        memory: Bool.random(using: &generator) ? Ledger.maximumNumber : nil)
                }
                let body = Batch.body(of: records.map(CloudEvent.encode))
                let expected = try model.receive(batch: body, pod: pod.podUID)
                #expect(try await client.usage(records, of: pod).json(Acknowledgement.self) == expected)
            }
            for gpu in ["GPU-0", "GPU-1"] {
                let kept = try await plane.plane.store.pool.read {
                    try UsageStore(db: $0, now: .init(milliseconds: 0)).account(pod: pod.podUID, gpu: gpu)
                }
                #expect(kept == model.account(pod: pod.podUID, gpu: gpu))
            }
        }
    }

    @Test func aBatchThatCannotBeUsedSaysWhy() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let pod = try await client.makePod()
            let path = "/v1/pods/\(pod.podUID)/usage"
            func send(_ body: [UInt8], type: String = Batch.contentType, headers: HTTPFields = [:]) async throws
                -> Client.Answer
            {
                try await client.send(.post, path, as: pod.podToken, body, type: type, headers: headers)
            }
            #expect(try await send(Array("[]".utf8)).status == 200)
            #expect(try await send(Array("[]".utf8), type: Batch.contentType + "; charset=utf-8").status == 200)
            #expect(try await send(Array("[]".utf8), type: "application/json").status == 415)
            #expect(try await send(Array("[]".utf8), headers: [.contentEncoding: "gzip"]).status == 415)
            #expect(try await send(Array("{}".utf8)).code == "malformed_batch")
            let unreadable = try await send(Array("[{}]".utf8))
            #expect(unreadable.status == 400 && unreadable.text.contains("element 0"))
            #expect(try await send([UInt8](repeating: 0x20, count: Batch.maximumBytes + 1)).status == 413)
            #expect(try await send([UInt8](repeating: 0x20, count: Batch.maximumBytes)).status == 400)
            let foreign = (0..<1000).map { record(of: "other", seq: $0 + 1_000_000_000, $0..<$0 + 1) }
            #expect(try await client.usage(foreign, of: pod).code == "answer_too_large")
            #expect(try await client.usage(Array(foreign[..<500]), of: pod).status == 200)
        }
    }

    @Test func randomBodiesNeverFailTheServer() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let pod = try await client.makePod()
            var generator = SeededGenerator(seed: 11)
            let shape = ScopeTests.shape
            let valid: [(HTTPRequest.Method, String, String?, [UInt8], String)] = [
                (
                    .post, "/v1/pods/\(pod.podUID)/usage", pod.podToken,
                    Batch.body(of: [CloudEvent.encode(record(of: pod.podUID, seq: 0, 0..<10))]), Batch.contentType
                ),
                (.post, "/v1/pods/\(pod.podUID)/hello", pod.podToken, Array(ScopeTests.hello.utf8), "application/json"),
                (
                    .put, "/v1/pods/\(pod.podUID)/report", pod.podToken,
                    Array(
                        #"{"at_risk":{"total_bytes":0,"total_files":0,"complete":true,"as_of":"2026-11-23T00:00:00Z"},"doctor":[1,{"a":null}]}"#
                            .utf8), "application/json"
                ),
                (.post, "/v1/volumes", plane.alpha, Array(#"{"name":"v","size_gb":1}"#.utf8), "application/json"),
                (.post, "/v1/snapshots", plane.alpha, Array(shape.utf8), "application/json"),
                (.post, "/v1/subscriptions", plane.alpha, Array(shape.utf8), "application/json"),
            ]
            for round in 0..<900 {
                let (method, path, token, original, type) = valid[round % valid.count]
                var body = original
                for _ in 0..<Int.random(in: 1...4, using: &generator) where !body.isEmpty {
                    let place = Int.random(in: 0..<body.count, using: &generator)
                    switch Int.random(in: 0..<4, using: &generator) {
                    case 0: body[place] = .random(in: .min ... .max, using: &generator)
                    case 1: body.remove(at: place)
                    case 2: body.insert(contentsOf: Array("9".utf8) + body[place...], at: place)
                    default: body[place] = Array("0123456789-{}[],:\"en".utf8).randomElement(using: &generator) ?? 0
                    }
                }
                let answer = try await client.send(method, path, as: token, body, type: type)
                #expect(answer.status < 500, "\(String(decoding: body, as: UTF8.self))")
            }
            for _ in 0..<300 {
                let junk = String(
                    (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                        "%20a0-:TZ.,s/?=&".randomElement(using: &generator) ?? "x"
                    })
                for path in [
                    "/v1/usage?from=\(junk)", "/v1/usage?cursor=\(junk)", "/v1/volumes?cursor=\(junk)", "/v1/\(junk)",
                ] {
                    #expect(try await client.send(.get, path, as: plane.alpha).status < 500, "\(path)")
                }
                #expect(try await client.send(.delete, "/v1/volumes/\(junk)", as: plane.alpha).status < 500)
            }
            #expect(try await client.send(.get, "/", as: plane.alpha).status == 200, "whatever was stored can be shown")
            #expect(try await client.send(.get, "/v1/usage", as: plane.alpha).status == 200)
        }
    }

    @Test func theExportSetsEvidenceBesideTheAllocation() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let start = plane.now
            let volume = try await client.makeVolume()
            let pod = try await client.makePod(volume: volume.id)
            plane.advance(100_000)
            let records = [
                record(of: pod.podUID, seq: 0, 0..<60_000, ending: start + 60_000, memory: Ledger.maximumNumber),
                record(of: pod.podUID, seq: 1, gpu: "GPU-1", 0..<60_000, ending: start + 61_000, memory: nil),
                record(of: pod.podUID, seq: 2, 60_000..<90_000, ending: start + 90_000, cause: .nvmlError),
                record(of: pod.podUID, seq: 3, 90_000..<91_000, ending: start + 91_000, memory: Ledger.maximumNumber),
                record(of: pod.podUID, seq: 5, gpu: "GPU-1", 90_000..<99_000, ending: start + 99_000, memory: nil),
            ]
            #expect(try await client.usage(records, of: pod).json(Acknowledgement.self).durable.first?.throughSeq == 3)
            let export = try await client.send(.get, "/v1/usage", as: plane.alpha).json(UsageExport.self)
            let row = try #require(export.subscriptions.first)
            #expect(row.allocatedMilliseconds == 100_000 && row.allocatedGPUMilliseconds == 200_000)
            #expect(row.observedMilliseconds == 130_000 && row.gapMilliseconds == 30_000)
            #expect(row.discrepancyMilliseconds == 40_000)
            #expect(row.completeThrough.milliseconds == start + 61_000, "GPU-1's later record stands behind a hole")
            #expect(export.completeThrough == row.completeThrough)
            let gpu = try #require(row.gpus.first { $0.uuid == "GPU-0" })
            #expect(gpu.observedMilliseconds == 61_000 && gpu.gapMilliseconds == ["nvml_error": 30_000])
            #expect(gpu.discrepancyMilliseconds == 9000 && gpu.memoryByteMilliseconds == "18446744073709551614")
            #expect(row.gpus.first { $0.uuid == "GPU-1" }?.memoryByteMilliseconds == nil)
            #expect(
                export.volumes.map(\.allocatedMilliseconds) == [100_000] && export.volumes.map(\.billedHours) == [1])
            #expect(
                try await client.send(.get, "/v1/usage", as: plane.beta).json(UsageExport.self).subscriptions.isEmpty)

            _ = try await client.send(.delete, "/v1/subscriptions/\(pod.id)?confirm=loss", as: plane.alpha)
            plane.advance(10 * 3_600_000)
            let later = try await client.send(.get, "/v1/usage", as: plane.alpha).json(UsageExport.self)
            #expect(later.subscriptions.first?.allocatedMilliseconds == 100_000, "an ended pod costs no more")
            #expect(later.volumes.first?.billedHours == 11, "a volume costs attached or not")
            #expect(later.completeThrough == later.to)
        }
    }

    @Test func adjacentWindowsAddUp() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let start = plane.now
            _ = try await client.makeVolume()
            let pod = try await client.makePod()
            var records: [UsageRecord] = []
            for number in UInt64(0)..<50 {
                let span = number * 600_000..<(number + 1) * 600_000
                let ending = start + Int64(span.upperBound)
                records.append(record(of: pod.podUID, seq: number, span, ending: ending, memory: 1))
            }
            #expect(try await client.usage(records, of: pod).status == 200)
            plane.advance(50 * 600_000)
            func export(_ from: Int64, _ to: Int64) async throws -> UsageExport {
                let path =
                    "/v1/usage?from=\(Timestamp(milliseconds: start + from))&to=\(Timestamp(milliseconds: start + to))"
                return try await client.send(.get, path, as: plane.alpha).json(UsageExport.self)
            }
            let cuts: [Int64] = [-1000, 0, 1, 599_999, 3_600_000, 3_600_001, 7_777_777, 30_000_001]
            let whole = try await export(-1000, 30_000_001)
            var parts: [UsageExport] = []
            for (from, to) in zip(cuts, cuts.dropFirst()) { parts.append(try await export(from, to)) }
            func sum(_ value: (UsageExport) -> UInt64?) -> UInt64 { parts.compactMap(value).reduce(0, +) }
            #expect(
                sum { $0.subscriptions.first?.allocatedMilliseconds }
                    == whole.subscriptions.first?.allocatedMilliseconds)
            #expect(sum { $0.subscriptions.first?.observedMilliseconds } == 30_000_000)
            #expect(sum { $0.volumes.first?.allocatedMilliseconds } == whole.volumes.first?.allocatedMilliseconds)
            #expect(sum { $0.volumes.first?.billedHours } == whole.volumes.first?.billedHours)
            #expect(whole.volumes.first?.billedHours == 9)
        }
    }

    @Test func theExportComesInPagesOfSubscriptionsThenVolumes() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            for _ in 0..<3 { _ = try await client.makePod(volume: client.makeVolume().id) }
            plane.advance(1000)
            let now = Timestamp(milliseconds: plane.now)
            var cursor: String?
            var subscriptions: [String] = []
            var volumes: [Int64] = []
            for _ in 0..<10 {
                let page = try await plane.plane.store.usage(
                    of: "alpha", from: .init(milliseconds: now.milliseconds - 5000), to: now, asOf: now,
                    cursor: ExportCursor(cursor), pageSize: 2)
                subscriptions += page.subscriptions.map(\.subscriptionID)
                volumes += page.volumes.map(\.volumeID)
                cursor = page.nextCursor
                if cursor == nil { break }
            }
            #expect(Set(subscriptions).count == 3 && subscriptions.count == 3)
            #expect(volumes == [1, 2, 3])
        }
    }

    @Test func aPodThatClaimsAllTheTimeThereIsBreaksNothing() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let pod = try await client.makePod()
            let records = (0..<8).map { record(of: pod.podUID, seq: $0, gpu: "GPU-\($0)", 0..<Ledger.maximumNumber) }
            #expect(try await client.usage(records, of: pod).json(Acknowledgement.self).rejected.isEmpty)
            plane.advance(1000)
            let export = try await client.send(.get, "/v1/usage", as: plane.alpha)
            #expect(export.status == 200)
            #expect(try export.json(UsageExport.self).subscriptions.first?.observedMilliseconds == Ledger.maximumNumber)
            #expect(try await client.send(.get, "/", as: plane.alpha).status == 200)
        }
    }
}

/// SplitMix64: one seed, one sequence.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
