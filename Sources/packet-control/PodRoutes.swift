import ControlPlaneAPI
import GRDB
import HTTPTypes
import Hummingbird
import Logging
import Ledger
import UsageRecord

extension ControlPlane {
    /// `GET /healthz`: 200 while the database answers.
    func health() async throws -> Response {
        _ = try await store.pool.read { try Int.fetchOne($0, sql: "SELECT 1") }
        return JSONAnswer.response(["status": "ok"])
    }

    private func pod(_ call: Call) throws -> PodIdentity {
        guard case .pod(let pod) = call.caller else {
            throw APIFailure.forbidden("this route takes the token of the pod")
        }
        return pod
    }

    /// `POST /v1/pods/{pod}/hello`.
    func hello(_ call: Call) async throws -> Response {
        let pod = try pod(call)
        try call.requireContentType("application/json")
        let body = try await call.body(upTo: 64 << 10)
        let hello = try Call.decode(HelloRequest.self, from: body)
        try Check.hello(hello)
        try await store.keep(hello: body, ofPod: pod.uid, now: now())
        let subscription = try await store.subscription(pod.subscriptionID, of: pod.team)
        var snapshot: Snapshot?
        if let id = subscription?.snapshotID { snapshot = try await store.snapshot(id, of: pod.team) }
        var expected: HelloAnswer.ExpectedVolume?
        if let id = subscription?.sharedVolumeIDs.first, let volume = try await store.volume(id, of: pod.team) {
            expected = .init(id: volume.id, name: volume.name, mountPoint: volume.mountPoint)
        }
        return JSONAnswer.response(
            HelloAnswer(
                serverTime: now(), sampleIntervalMilliseconds: intervals.sample, intervalMilliseconds: intervals.usage,
                reportIntervalMilliseconds: intervals.report,
                durable: try await store.marks(
                    ofPod: pod.uid, including: [hello.epoch, hello.prevEpoch].compactMap(\.self)),
                snapshot: snapshot, subscription: subscription, expectedVolume: expected, features: features))
    }

    /// `POST /v1/pods/{pod}/usage`: answered only after the batch is on disk.
    func receiveUsage(_ call: Call) async throws -> Response {
        let pod = try pod(call)
        try call.requireContentType(Batch.contentType)
        let body = try await call.body(upTo: Batch.maximumBytes)
        do {
            let events = try Ledger.read(batch: body)
            let answer = try await store.receive(events, body: body, from: pod.uid, now: now())
            if !answer.rejected.isEmpty {
                // Reasons, not events: what a pod sends does not belong into the log.
                let reasons = Set(answer.rejected.map { $0.reason.split(separator: ":").first.map(String.init) ?? "" })
                call.context.logger.warning(
                    "usage records were refused",
                    metadata: [
                        "subscription": "\(pod.subscriptionID)", "count": "\(answer.rejected.count)",
                        "reasons": "\(reasons.sorted().joined(separator: ","))",
                    ])
            }
            return JSONAnswer.response(answer)
        } catch let refusal as BatchRefusal {
            switch refusal {
            case .malformed(let rule): throw APIFailure(.badRequest, "malformed_batch", rule)
            case .answerTooLarge: throw APIFailure(.contentTooLarge, "answer_too_large", refusal.description)
            }
        }
    }

    /// `PUT /v1/pods/{pod}/report`.
    func report(_ call: Call) async throws -> Response {
        let pod = try pod(call)
        try call.requireContentType("application/json")
        let body = try await call.body(upTo: 1 << 20)
        _ = try Call.decode(PodReport.self, from: body)
        try await store.keep(report: body, ofPod: pod.uid, now: now())
        return Response(status: .noContent)
    }
}
