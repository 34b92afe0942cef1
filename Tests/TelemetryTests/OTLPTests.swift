import GPU
import Testing

@testable import Telemetry

@Suite struct OTLPTests {
    /// #require cannot call what mutates.
    private static func some(_ bytes: [UInt8]?) throws -> [UInt8] { try #require(bytes) }

    private func encoder() -> OTLPMetrics {
        OTLPMetrics(
            resource: [("service.name", "packet-agent"), ("host.name", "pod-1")], version: "0.1.0",
            startUnixNanoseconds: 1_700_000_000_000_000_000)
    }

    @Test func theBytesAreAsReviewed() throws {
        var encoder = encoder()
        let first = try Self.some(encoder.encode(Snapshots.full, time: 1_700_000_010_000_000_000))
        try Golden.expect(binary: first, "otlp-full.base64")
        var lost = Snapshots.full
        lost.samples = [GPUSample(uuid: Snapshots.uuid, boottime: 2_000_000_000, state: .lost)]
        let second = try Self.some(encoder.encode(lost, time: 1_700_000_020_000_000_000))
        try Golden.expect(binary: second, "otlp-lost.base64")
        var other = self.encoder()
        try Golden.expect(
            binary: try Self.some(other.encode(Snapshots.split, time: 1_700_000_010_000_000_000)), "otlp-mig.base64")
    }

    @Test func theEndOfASeriesIsToldOnce() throws {
        var encoder = encoder()
        var lost = Snapshots.full
        lost.samples = [GPUSample(uuid: Snapshots.uuid, boottime: 2_000_000_000, state: .lost)]
        _ = encoder.encode(Snapshots.full, time: 1)
        let second = try Self.some(encoder.encode(lost, time: 2))
        let third = try Self.some(encoder.encode(lost, time: 3))
        // 8 = flags 1 in a NumberDataPoint: tag 0x40, value 1.
        func ended(_ bytes: [UInt8]) -> Int { zip(bytes, bytes.dropFirst()).count { $0 == 0x40 && $1 == 1 } }
        #expect(ended(second) > 20)
        #expect(ended(third) == 0)
        #expect(third.count < second.count)
    }

    // MARK: delivery

    private func delivery() -> OTLPDelivery { OTLPDelivery() }

    @Test(arguments: [429, 502, 503, 504]) func whatMayWorkLaterIsTriedAgainWithGrowingPauses(_ status: Int) {
        var delivery = delivery()
        var pauses: [UInt64] = []
        var now: UInt64 = 0
        for _ in 0..<6 {
            let decision = delivery.answered(.status(status, retryAfter: nil, body: []), now: now, wall: 0, jitter: 1)
            guard case .retry(let at) = decision else { break }
            pauses.append(at - now)
            now = at
        }
        #expect(pauses == [1000, 2000, 4000, 8000, 16000, 32000])
    }

    @Test(arguments: [400, 401, 403, 404, 408, 413, 500, 501, 505, 301]) func otherErrorsAreNotTriedAgain(_ status: Int)
    {
        var delivery = delivery()
        let decision = delivery.answered(.status(status, retryAfter: "1", body: []), now: 0, wall: 0, jitter: 0)
        guard case .dropped(let reason) = decision else {
            Issue.record("\(decision)")
            return
        }
        #expect(reason.contains("\(status)"))
        #expect(delivery.droppedBatches == 1)
    }

    @Test func retryAfterIsHonoured() {
        var delivery = delivery()
        do {
            let decision = delivery.answered(.status(429, retryAfter: "30", body: []), now: 0, wall: 0, jitter: 0)
            #expect(decision == .retry(at: 30_000))
        }
        // Wed, 21 Oct 2015 07:28:00 GMT is 1445412480.
        let date = "Wed, 21 Oct 2015 07:28:00 GMT"
        do {
            let decision = delivery.answered(
                .status(503, retryAfter: date, body: []), now: 30_000, wall: 1_445_412_470, jitter: 0)
            #expect(decision == .retry(at: 40_000))
        }
        // Until then the batch is too old.
        do {
            let decision = delivery.answered(
                .status(503, retryAfter: "99999999999", body: []), now: 40_000, wall: 0, jitter: 0)
            #expect(decision == .dropped(reason: "the receiver did not take it for 40 s"))
        }
    }

    @Test func aReceiverThatNeverTakesItIsGivenUpOnAndTheNextBatchStartsAnew() {
        var delivery = delivery()
        var now: UInt64 = 0
        var tries = 0
        while case .retry(let at) = delivery.answered(.unreachable("refused"), now: now, wall: 0, jitter: 0.5) {
            now = at
            tries += 1
        }
        #expect(now < delivery.giveUpAfter && tries > 5)
        #expect(delivery.droppedBatches == 1)
        do {
            let decision = delivery.answered(.unreachable("refused"), now: now, wall: 0, jitter: 1)
            #expect(decision == .retry(at: now + 1000))
        }
    }

    @Test func partialSuccessIsNotTriedAgain() {
        var delivery = delivery()
        var body = ProtobufWriter()
        body.message(1) {
            $0.uint(1, 7)
            $0.string(2, "out of order")
        }
        do {
            let decision = delivery.answered(
                .status(200, retryAfter: nil, body: body.bytes), now: 0, wall: 0, jitter: 0)
            #expect(decision == .partlyRejected(points: 7, reason: "out of order"))
        }
        #expect(delivery.rejectedPoints == 7)
        var warning = ProtobufWriter()
        warning.message(1) { $0.string(2, "deprecated") }
        do {
            let decision = delivery.answered(
                .status(200, retryAfter: nil, body: warning.bytes), now: 0, wall: 0, jitter: 0)
            #expect(decision == .delivered(warning: "deprecated"))
        }
        do {
            let decision = delivery.answered(.status(200, retryAfter: nil, body: []), now: 0, wall: 0, jitter: 0)
            #expect(decision == .delivered(warning: nil))
        }
    }

    @Test(arguments: UInt64(0)..<200) func anyBodyIsReadToItsEnd(_ seed: UInt64) {
        var delivery = delivery()
        var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        let body = (0..<Int(seed % 64)).map { _ -> UInt8 in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
        switch delivery.answered(.status(200, retryAfter: nil, body: body), now: 0, wall: 0, jitter: 0) {
        case .delivered, .partlyRejected: break
        default: Issue.record("a 200 is a success")
        }
    }
}
