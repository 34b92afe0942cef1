import Ledger
import Testing
import UsageRecord

@Suite struct LedgerPropertyTests {
    @Test(arguments: UInt64(1)...60) func whateverArrivesTheLedgerDecidesAsTheRulesSay(seed: UInt64) throws {
        var ledger = InMemoryLedger()
        var oracle = Oracle()
        for body in randomBatches(seed: seed) {
            let answer = try ledger.receive(batch: body, pod: pod)
            #expect(answer.sha256 == Batch.digest(body))
            #expect(answer.rejected == oracle.receive(body))
            for durable in answer.durable { #expect(durable.throughSeq == oracle.mark(durable.epoch)) }
        }
        #expect(ledger.records(ofPod: pod) == oracle.kept)
        #expect(!oracle.kept.isEmpty)
        for gpu in ["GPU-0", "GPU-1"] { #expect(ledger.account(pod: pod, gpu: gpu) == oracle.account(gpu)) }
        for number in 1...3 { #expect(ledger.mark(pod: pod, epoch: epoch(number)) == oracle.mark(epoch(number))) }
    }

    @Test(arguments: UInt64(100)...120) func sendingEverythingAgainInAnyOrderChangesNothing(seed: UInt64) throws {
        var ledger = InMemoryLedger()
        let batches = randomBatches(seed: seed)
        for body in batches { _ = try ledger.receive(batch: body, pod: pod) }
        let before = ledger
        var generator = SeededGenerator(seed: seed)
        for body in batches.shuffled(using: &generator) { _ = try ledger.receive(batch: body, pod: pod) }
        #expect(ledger.records(ofPod: pod) == before.records(ofPod: pod))
        for gpu in ["GPU-0", "GPU-1"] {
            #expect(ledger.account(pod: pod, gpu: gpu) == before.account(pod: pod, gpu: gpu))
        }
        for number in 1...3 {
            #expect(ledger.mark(pod: pod, epoch: epoch(number)) == before.mark(pod: pod, epoch: epoch(number)))
        }
    }

    @Test func damagedBatchesNeverCrashTheLedger() {
        var generator = SeededGenerator(seed: 7)
        var ledger = InMemoryLedger()
        let valid = body((0..<4).map { record(seq: $0, $0 * 10..<$0 * 10 + 10) })
        for _ in 0..<4000 {
            var bytes = valid
            for _ in 0..<Int.random(in: 1...5, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(
                    in: .min ... .max, using: &generator)
            }
            if let answer = try? ledger.receive(batch: bytes, pod: pod) {
                #expect(answer.sha256 == Batch.digest(bytes))
            }
        }
    }
}

@Suite struct LedgerTests {
    @Test func aRecordIsCountedOnceHoweverOftenItArrives() throws {
        var ledger = InMemoryLedger()
        let first = body([record(seq: 0, 0..<100), record(seq: 1, 100..<150, cause: .agentDown)])
        let answers = try (0..<3).map { _ in try ledger.receive(batch: first, pod: pod) }
        #expect(Set(answers.map(\.sha256)).count == 1)
        #expect(answers.allSatisfy { $0.rejected.isEmpty && $0.durable == [.init(epoch: epoch(1), throughSeq: 1)] })
        let account = try #require(ledger.account(pod: pod, gpu: "GPU-0"))
        #expect(account.observedMilliseconds == 100 && account.busyMilliseconds == 50 && account.records == 2)
        #expect(account.gapMilliseconds == [.agentDown: 50] && account.totalGapMilliseconds == 50)
    }

    @Test func aKeyUsedTwiceIsAConflictAndTheFirstStays() throws {
        var ledger = InMemoryLedger()
        _ = try ledger.receive(batch: body([record(seq: 0, 0..<100)]), pod: pod)
        let answer = try ledger.receive(batch: body([record(seq: 0, 0..<99)]), pod: pod)
        #expect(answer.rejected == [.init(epoch: epoch(1), seq: 0, reason: "conflict")])
        #expect(answer.durable == [.init(epoch: epoch(1), throughSeq: 0)])
        #expect(ledger.records(ofPod: pod).values.map(\.endMilliseconds) == [100])
        #expect(ledger.store.conflicts(pod: pod) == 1)
    }

    @Test func theMarkStopsAtAHoleAndMovesOverARefusal() throws {
        var ledger = InMemoryLedger()
        func mark(_ records: [UsageRecord]) throws -> UInt64? {
            try ledger.receive(batch: body(records), pod: pod).durable.first?.throughSeq
        }
        #expect(try mark([record(seq: 1, 10..<20), record(seq: 3, 30..<40)]) == nil)
        #expect(try mark([record(seq: 0, 0..<10)]) == 1)
        #expect(try mark([record(seq: 2, 15..<25)]) == 3, "an overlap is refused for good, so nobody waits for it")
        #expect(try mark([record(seq: 2, 20..<30)]) == 3)
        #expect(ledger.records(ofPod: pod).count == 3, "a refusal stays, whatever comes under its key later")
    }

    @Test func timeIsNotCountedTwiceAcrossEpochsButEachBootAndGPUHasItsOwn() throws {
        var ledger = InMemoryLedger()
        _ = try ledger.receive(batch: body([record(seq: 0, 100..<200)]), pod: pod)
        let overlapping = [
            record(epoch: 2, seq: 0, 199..<300), record(epoch: 2, seq: 1, 50..<101),
            record(epoch: 2, seq: 2, 120..<130),
        ]
        #expect(
            try ledger.receive(batch: body(overlapping), pod: pod).rejected.map(\.reason) == [
                "overlap", "overlap", "overlap",
            ])
        let touching = [
            record(epoch: 2, seq: 3, 200..<300), record(epoch: 2, seq: 4, 50..<100),
            record(epoch: 2, seq: 5, boot: "boot-b", 150..<160), record(epoch: 2, seq: 6, gpu: "GPU-1", 150..<160),
        ]
        #expect(try ledger.receive(batch: body(touching), pod: pod).rejected.isEmpty)
    }

    @Test func aPodSpeaksForItselfOnly() throws {
        var ledger = InMemoryLedger()
        let foreign = body([record(pod: "other", seq: 0, 0..<10)])
        #expect(try ledger.receive(batch: foreign, pod: pod).rejected.map(\.reason) == ["foreign_pod"])
        #expect(ledger.records(ofPod: "other").isEmpty)
        #expect(try ledger.receive(batch: foreign, pod: "other").rejected.isEmpty)
    }

    @Test func memoryOutgrowsSixtyFourBitsAndEnergyDoesNot() throws {
        var ledger = InMemoryLedger()
        let huge = Ledger.maximumNumber
        let records = (0..<3).map { record(seq: $0, $0 * 10..<$0 * 10 + 10, energy: nil, memory: huge) }
        #expect(try ledger.receive(batch: body(records), pod: pod).rejected.isEmpty)
        #expect(ledger.account(pod: pod, gpu: "GPU-0")?.memoryByteMilliseconds == 3 * UInt128(huge))
        #expect(ledger.account(pod: pod, gpu: "GPU-0")?.energyMillijoules == nil, "not supported is not 0")
        let energy = [
            record(seq: 3, 30..<40, energy: huge), record(seq: 4, 40..<50, energy: 1),
            record(seq: 5, 50..<60, energy: huge + 1),
        ]
        let reasons = try ledger.receive(batch: body(energy), pod: pod).rejected.map(\.reason)
        #expect(reasons == ["overflow", "out_of_range"])
    }

    @Test func aPodHasABoundedNumberOfGPUs() throws {
        var ledger = InMemoryLedger()
        for start in stride(from: 0, to: Ledger.maximumGPUs, by: 256) {
            let records = (start..<start + 256).map { record(seq: UInt64($0), gpu: "GPU-\($0)", 0..<10) }
            #expect(try ledger.receive(batch: body(records), pod: pod).rejected.isEmpty)
        }
        let more = body([record(seq: 5000, gpu: "GPU-new", 0..<10), record(seq: 5001, gpu: "GPU-1", 10..<20)])
        #expect(try ledger.receive(batch: more, pod: pod).rejected.map(\.reason) == ["too_many_gpus"])
    }

    @Test func anEventWithoutAReadableKeyRefusesTheBatchAndNamesIt() {
        var ledger = InMemoryLedger()
        let good = String(decoding: CloudEvent.encode(record(seq: 0, 0..<10)), as: UTF8.self)
        for broken in [
            "{}", "{\"id\":\"x:1\"}", "{\"data\":{\"epoch\":\"\(epoch(1))\",\"seq\":-1}}",
            "{\"id\":\"\(epoch(1)):99999999999999999999\"}",
        ] {
            let refusal = #expect(throws: BatchRefusal.self) {
                try ledger.receive(batch: Array("[\(good),\(broken)]".utf8), pod: pod)
            }
            #expect(refusal?.description.contains("element 1 of the batch") == true)
        }
        #expect(ledger.records(ofPod: pod).isEmpty, "nothing of a refused batch is kept")
    }

    @Test func anEventThatIsNoRecordIsRefusedByItsKey() throws {
        var ledger = InMemoryLedger()
        let byData = "{\"data\":{\"epoch\":\"\(epoch(1))\",\"seq\":0}}"
        let byID = "{\"id\":\"\(epoch(1)):1\"}"
        let answer = try ledger.receive(batch: Array("[\(byData),\(byID)]".utf8), pod: pod)
        #expect(answer.rejected.map(\.seq) == [0, 1])
        #expect(answer.rejected.allSatisfy { $0.reason.hasPrefix("malformed: ") })
        #expect(answer.durable == [.init(epoch: epoch(1), throughSeq: 1)])
    }

    @Test func anAnswerThatNobodyWouldReadIsNotGiven() throws {
        var ledger = InMemoryLedger()
        let foreign = (0..<1000).map { record(pod: "other", seq: $0 + 1_000_000_000, $0..<$0 + 1) }
        #expect(throws: BatchRefusal.answerTooLarge) { try ledger.receive(batch: body(foreign), pod: pod) }
        let half = try ledger.receive(batch: body(Array(foreign[..<500])), pod: pod)
        #expect(half.rejected.count == 500)
    }

    @Test(arguments: [
        Refusal.conflict, .foreignPod, .overlap, .outOfRange, .overflow, .tooManyGPUs, .malformed("some rule"),
    ]) func aReasonCanBeStoredAndReadBack(refusal: Refusal) {
        #expect(Refusal(refusal.description) == refusal)
    }
}
