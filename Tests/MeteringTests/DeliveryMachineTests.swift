import Effects
import Foundation
import Metering
import Testing
import UsageRecord

/// The same bytes always: every random wait is the same fraction of its range.
private struct FixedRandom: RandomSource {
    var byte: UInt8 = 0
    func bytes(_ count: Int) -> [UInt8] { Array(repeating: byte, count: count) }
}

private let epoch = "00112233445566778899aabbccddeeff"

private func stored(_ seq: UInt64, _ content: UsageRecord.Content = .gap(.agentDown)) -> StoredRecord {
    let record = UsageRecord(
        podUID: "4c1f7c4e-0000-4000-8000-000000000001", epoch: epoch, seq: seq, gpuUUID: "GPU-0", bootID: "boot",
        startMilliseconds: seq * 1000, endMilliseconds: seq * 1000 + 1000, endRealtimeMilliseconds: 0, content: content)
    return StoredRecord(epoch: epoch, seq: seq, bytes: CloudEvent.encode(record))
}

private func acknowledgement(
    of body: [UInt8], through seq: UInt64?, rejecting rejected: [Acknowledgement.Rejection] = []
) throws -> [UInt8] {
    let marks = seq.map { [Acknowledgement.Durable(epoch: epoch, throughSeq: $0)] } ?? []
    return Array(
        try JSONEncoder().encode(
            Acknowledgement(sha256: Batch.digest(body), durable: marks, rejected: rejected)))
}

@Suite struct DeliveryMachineTests {
    private var machine = DeliveryMachine(random: FixedRandom())
    private var body: [UInt8] = []

    private mutating func handle(_ event: DeliveryEvent, at now: UInt64 = 0) -> [DeliveryAction] {
        let actions = machine.handle(event, now: now, realtime: 1_767_225_600_000)
        for case .send(let sent, let digest) in actions {
            body = sent
            #expect(digest == Batch.digest(sent))
        }
        return actions
    }

    private mutating func answer(
        _ status: Int, _ body: [UInt8] = [], retryAfter: String? = nil, at now: UInt64 = 0
    ) -> [DeliveryAction] {
        handle(.responded(status: status, retryAfter: retryAfter, body: body), at: now)
    }

    /// Brings the machine to where these records are on their way.
    private mutating func sending(_ records: [StoredRecord]) {
        _ = handle(.recordsAvailable)
        _ = handle(.loaded(records))
        #expect(!body.isEmpty)
    }

    private static func isLoad(_ action: DeliveryAction?) -> Bool {
        if case .load = action { true } else { false }
    }

    @Test mutating func recordsAreDeletedWhenTheirBatchIsAcknowledged() throws {
        sending([stored(0), stored(1)])
        let actions = answer(200, try acknowledgement(of: body, through: 1))
        #expect(actions.first == .deleteThrough(epoch: epoch, seq: 1))
        #expect(Self.isLoad(actions.last))
        #expect(handle(.loaded([])) == [])
        #expect(machine.failures == 0)
        #expect(machine.lastAcknowledgement == 0)
    }

    @Test mutating func anAcknowledgementOfSomethingElseDeletesNothing() throws {
        sending([stored(0)])
        let other = try acknowledgement(of: Array("[]".utf8), through: 99)
        for wrong in [other, Array("{}".utf8), Array("<html>login</html>".utf8), []] {
            #expect(answer(200, wrong) == [.wait(milliseconds: 1000)])
            _ = handle(.timer)
            _ = handle(.loaded([stored(0)]))
        }
        #expect(machine.lastAcknowledgement == nil)
    }

    @Test mutating func whatIsResentIsTheSameBytes() {
        sending([stored(0), stored(1)])
        let first = body
        _ = handle(.transportFailed(reason: "connection reset"))
        _ = handle(.timer)
        _ = handle(.loaded([stored(0), stored(1)]))
        #expect(body == first)
    }

    @Test mutating func onlyThePrefixThatIsCoveredIsDeleted() throws {
        sending([stored(0), stored(1), stored(2)])
        let actions = answer(200, try acknowledgement(of: body, through: 0))
        #expect(actions.first == .deleteThrough(epoch: epoch, seq: 0))
    }

    @Test mutating func aRecordRefusedByNameIsKeptAsADeadLetterFirst() throws {
        sending([stored(0), stored(1)])
        let rejection = Acknowledgement.Rejection(epoch: epoch, seq: 1, reason: "overlap")
        let actions = answer(200, try acknowledgement(of: body, through: 0, rejecting: [rejection]))
        #expect(Array(actions.prefix(2)) == [.keepRejected([rejection]), .deleteThrough(epoch: epoch, seq: 1)])
    }

    @Test mutating func aRefusedBatchIsHalvedDownToTheRecordToBlame() throws {
        let records = (0..<4).map { stored($0) }
        sending(records)
        guard case .load(2, _)? = answer(400).first else { Issue.record("not halved"); return }
        _ = handle(.loaded(Array(records.prefix(2))))
        guard case .load(1, _)? = answer(400).first else { Issue.record("not halved again"); return }
        _ = handle(.loaded([records[0]]))
        // Alone and refused: is it the control plane that says so? It takes an empty batch.
        guard case .send(let probe, _)? = answer(400).first else { Issue.record("no probe"); return }
        #expect(try Batch.split(probe).isEmpty)
        let verdict = answer(200, try acknowledgement(of: probe, through: nil))
        #expect(verdict.first == .quarantine(epoch: epoch, seq: 0, reason: "HTTP 400"))
    }

    @Test mutating func aProxyThatRefusesEverythingCostsNoRecord() {
        sending([stored(0)])
        _ = answer(400)
        #expect(answer(400) == [.wait(milliseconds: 300_000)])
    }

    @Test mutating func aGapThatIsRefusedIsKeptAndNotSetAsideAgain() throws {
        sending([stored(0, .gap(.quarantined))])
        guard case .send(let probe, _)? = answer(422).first else { Issue.record("no probe"); return }
        #expect(answer(200, try acknowledgement(of: probe, through: nil)) == [.wait(milliseconds: 300_000)])
    }

    @Test mutating func aRefusedTokenIsReadAgainOnceAMinute() {
        sending([stored(0)])
        #expect(answer(401, at: 1000) == [.refreshToken, .wait(milliseconds: 60_000)])
        _ = handle(.tokenChanged, at: 5000)
        _ = handle(.loaded([stored(0)]), at: 5000)
        #expect(answer(403, at: 5000) == [.wait(milliseconds: 56_000)])
    }

    @Test(
        arguments: [
            (503, "7", 7000), (429, "0", 1000), (503, nil, 1000), (408, "soon", 1000), (500, "99999999", 3_600_000),
            (429, "Thu, 01 Jan 2026 00:00:30 GMT", 30_000), (429, "Wed, 31 Dec 2025 00:00:30 GMT", 1000),
            (404, "7", 300_000),
            (302, nil, 300_000), (410, nil, 300_000),
        ] as [(Int, String?, UInt64)])
    func waits(status: Int, retryAfter: String?, milliseconds: UInt64) {
        var test = self
        test.sending([stored(0)])
        #expect(test.answer(status, retryAfter: retryAfter) == [.wait(milliseconds: milliseconds)])
    }

    @Test func waitsGrowWithFullJitterUpToFiveMinutes() {
        var test = self
        test.machine = DeliveryMachine(random: FixedRandom(byte: 0xff))
        test.sending([stored(0)])
        for attempt in 1...30 as ClosedRange<UInt64> {
            guard case .wait(let wait)? = test.handle(.transportFailed(reason: "refused")).first else {
                Issue.record("no wait")
                return
            }
            #expect((1000...min(300_000, 1000 << min(attempt, 20))).contains(wait))
            _ = test.handle(.timer)
            _ = test.handle(.loaded([stored(0)]))
        }
        #expect(test.machine.failures == 30)
    }

    @Test mutating func stopSendsWhatThereIsAndDoesNotWait() throws {
        #expect(Self.isLoad(handle(.stop).first))
        _ = handle(.loaded([stored(0)]))
        _ = answer(200, try acknowledgement(of: body, through: 0))
        #expect(handle(.loaded([])) == [.done])
        #expect(handle(.recordsAvailable) == [])
    }

    @Test mutating func stopGivesUpAtTheFirstFailure() {
        sending([stored(0)])
        #expect(handle(.stop) == [])
        #expect(handle(.transportFailed(reason: "timed out")) == [.done])
    }

    @Test mutating func recordsThatComeWhileSendingAreNotForgotten() throws {
        sending([stored(0)])
        #expect(handle(.recordsAvailable) == [])
        _ = answer(200, try acknowledgement(of: body, through: 0))
        _ = handle(.recordsAvailable)
        #expect(Self.isLoad(handle(.loaded([])).first))
    }
}
