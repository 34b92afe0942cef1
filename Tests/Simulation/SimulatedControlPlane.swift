import FoundationEssentials
import Metering
import UsageRecord

/// A control plane at the end of a bad network.
struct SimulatedControlPlane {
    enum Fault: String, CaseIterable {
        case drop, delay, duplicate, cutAfterCommit, garbage, wrongDigest, serverKilled, moved, conflict, refuseByName,
            poison
        case badToken, tooLarge, busy, unavailable, proxyBadRequest
    }

    struct Answer {
        var after: UInt64
        var event: DeliveryEvent
    }

    var random: SplitMix
    var oracle = Oracle()
    var fired: [Fault: Int] = [:]
    var faultsPerMille = 0
    /// A bug to plant: any 200 counts as an acknowledgement of everything that was sent.
    var trustsBare200 = false
    // Copies of requests that arrive once more, later.
    private var echoes: [[UInt8]] = []
    private let pod: String

    init(seed: UInt64, pod: String) {
        random = SplitMix(seed: seed)
        self.pod = pod
    }

    mutating func receive(_ body: [UInt8], now: UInt64, realtime: Int64) -> Answer {
        if let echo = echoes.popLast() { _ = try? oracle.receive(batch: echo, pod: pod) }
        let delay = UInt64(random.below(200))
        guard random.chance(faultsPerMille) else { return commit(body, delay) }
        let fault = Fault.allCases[random.below(Fault.allCases.count)]
        func status(_ status: Int, _ retryAfter: String? = nil) -> Answer {
            .init(after: delay, event: .responded(status: status, retryAfter: retryAfter, body: Array("no".utf8)))
        }
        fired[fault, default: 0] += 1
        switch fault {
        case .drop, .serverKilled: return .init(after: 10_000, event: .transportFailed(reason: "timed out"))
        case .delay: return commit(body, 5000)
        case .duplicate:
            echoes.append(body)
            return commit(body, delay)
        case .cutAfterCommit:
            _ = commit(body, 0)
            return .init(after: delay, event: .transportFailed(reason: "connection reset"))
        case .garbage:
            let html = Array("<html>welcome to the wireless network</html>".utf8)
            let answer = trustsBare200 ? bare(body) : html
            return .init(after: delay, event: .responded(status: 200, retryAfter: nil, body: answer))
        case .wrongDigest:
            var wrong = Acknowledgement(sha256: Batch.digest([1]), durable: [])
            for record in Self.records(body) {
                wrong.durable.append(.init(epoch: record.epoch, throughSeq: record.seq))
            }
            return .init(after: delay, event: .responded(status: 200, retryAfter: nil, body: Self.encode(wrong)))
        case .moved: return status(302)
        case .conflict: return status(409)
        case .refuseByName:
            if let victim = Self.records(body).first { oracle.refuse(victim.epoch, victim.seq) }
            return commit(body, delay)
        case .poison:
            if let victim = Self.records(body).first { oracle.poison(victim.epoch, victim.seq) }
            return commit(body, delay)
        case .badToken: return status(random.chance(500) ? 401 : 403)
        case .tooLarge: return status(413)
        case .busy: return status(429, random.chance(500) ? "2" : "Thu, 01 Jan 2026 00:00:30 GMT")
        case .unavailable: return status([500, 502, 503, 504, 408, 425][random.below(6)])
        case .proxyBadRequest: return status(400)
        }
    }

    private mutating func commit(_ body: [UInt8], _ delay: UInt64) -> Answer {
        do {
            let answer = try oracle.receive(batch: body, pod: pod)
            return .init(after: delay, event: .responded(status: 200, retryAfter: nil, body: Self.encode(answer)))
        } catch {
            return .init(after: delay, event: .responded(status: 400, retryAfter: nil, body: Array("\(error)".utf8)))
        }
    }

    private func bare(_ body: [UInt8]) -> [UInt8] {
        var answer = Acknowledgement(sha256: Batch.digest(body), durable: [])
        for record in Self.records(body) { answer.durable.append(.init(epoch: record.epoch, throughSeq: record.seq)) }
        return Self.encode(answer)
    }

    private static func encode(_ answer: Acknowledgement) -> [UInt8] {
        (try? JSONEncoder().encode(answer)).map(Array.init) ?? []
    }

    private static func records(_ body: [UInt8]) -> [UsageRecord] {
        ((try? Batch.split(body)) ?? []).compactMap { try? CloudEvent.decode($0) }
    }
}
