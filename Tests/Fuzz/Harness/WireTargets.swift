import ControlPlaneAPI
import FoundationEssentials
import Ledger
import Telemetry
import UsageRecord

@testable import Telemetry

/// Bodies of the control plane's interface, in both directions: what is read means the same when it is written and read.
func wire(_ input: [UInt8]) {
    let data = Data(input)
    roundTrip(HelloRequest.self, data)
    roundTrip(HelloAnswer.self, data)
    roundTrip(Snapshot.self, data)
    roundTrip(SnapshotRequest.self, data)
    roundTrip(Subscription.self, data)
    roundTrip(SharedVolume.self, data)
    roundTrip(PodReport.self, data)
    roundTrip(ErrorAnswer.self, data)
    roundTrip(JSONValue.self, data)
}

func roundTrip<Value: Codable & Equatable>(_ type: Value.Type, _ data: Data) {
    guard let value = try? JSONDecoder().decode(type, from: data) else { return }
    // Numbers that JSON cannot write (infinities) may be refused, but never change.
    guard let written = try? JSONEncoder().encode(value) else { return }
    guard let again = try? JSONDecoder().decode(type, from: written) else {
        return require(false, "\(type) that was read is refused when it is written")
    }
    // A whole number may come back as an integer, once.
    guard again != value, let rewritten = try? JSONEncoder().encode(again) else { return }
    require((try? JSONDecoder().decode(type, from: rewritten)) == again, "\(type) changes when it is written and read")
}

/// A batch as the control plane reads it: every event has a key and a digest, and the answer to it can be read.
func ledgerBatch(_ input: [UInt8]) {
    guard let events = try? Ledger.read(batch: input) else { return }
    for event in events {
        require(event.sha256.utf8.count == 64 && event.key.epoch.utf8.count == 32, "an event without key or digest")
        require(event.key.seq <= Ledger.maximumNumber, "a sequence number that no column holds")
    }
    var outcome = Outcome()
    outcome.rejected = events.map { .init(epoch: $0.key.epoch, seq: $0.key.seq, reason: "conflict") }
    if let answer = try? outcome.acknowledgement(of: input), let written = try? JSONEncoder().encode(answer) {
        require(Acknowledgement.parse(Array(written)) == answer, "the answer to a batch cannot be read")
    }
}

/// Answers of an OpenTelemetry receiver, several in a row: no answer stops the exporter, and every wait is bounded.
func telemetryAnswers(_ input: [UInt8]) {
    var delivery = OTLPDelivery()
    var now: UInt64 = 1000
    // Each answer: a status, and a body and a header with their lengths.
    var rest = input[...]
    func piece() -> [UInt8] {
        guard let length = rest.popFirst() else { return [] }
        defer { rest = rest.dropFirst(Int(length)) }
        return Array(rest.prefix(Int(length)))
    }
    while let status = rest.popFirst() {
        let (body, header) = (piece(), piece())
        let statuses = [200, 429, 503, 400]
        let answer = OTLPDelivery.Answer.status(
            statuses[Int(status) % statuses.count],
            retryAfter: header.isEmpty ? nil : String(decoding: header, as: UTF8.self), body: body)
        switch delivery.answered(answer, now: now, wall: 1_790_000_000, jitter: 0.5) {
        case .retry(let at):
            require(at > now && at - now <= 86_400_000, "a wait without end")
            now = at
        case .partlyRejected(let points, _): require(points > 0, "nothing is rejected")
        default: now += 1
        }
    }
    var writer = ProtobufWriter()
    writer.string(1, String(decoding: input, as: UTF8.self))
    writer.uint(2, UInt64(input.count))
    var reader = ProtobufReader(writer.bytes[...])
    guard case (1, .bytes(let text))? = reader.next(), case (2, .number(let count))? = reader.next() else {
        return require(false, "a message that was written cannot be read")
    }
    require(text.elementsEqual(String(decoding: input, as: UTF8.self).utf8) && count == UInt64(input.count), "changed")
}
