import ControlPlaneAPI
import FoundationEssentials
import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Synchronization
import Testing
import UsageRecord

@testable import packet_control

/// A control plane on a directory that goes away with it, with two teams and a clock that tests set.
final class TestPlane: Sendable {
    let directory: String
    let alpha: String
    let beta: String
    let plane: ControlPlane
    let clock: Mutex<Int64>

    var database: String { directory + "/control.sqlite" }

    init() throws {
        var template = Array("/tmp/packet-control-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        directory = try #require(made)
        let secrets = [Secret.make(.team), Secret.make(.team)]
        alpha = secrets[0].text
        beta = secrets[1].text
        try TokenFile.write(
            zip(secrets, ["alpha", "beta"]).map {
                .init(id: $0.id, team: $1, sha256: $0.sha256, createdAt: .init(milliseconds: 0))
            }, to: directory + "/tokens.json")
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        clock = Mutex(1_795_475_000_000)
        plane = ControlPlane(
            store: try Store(path: directory + "/control.sqlite"),
            teams: try TokenFile(path: directory + "/tokens.json", logger: logger), logger: logger)
    }

    deinit {
        try? plane.store.close()
        for name in ["control.sqlite", "control.sqlite-wal", "control.sqlite-shm", "tokens.json"] {
            unlink(directory + "/" + name)
        }
        rmdir(directory)
    }

    /// Runs requests through the router, or through a socket on loopback.
    func test(_ setup: TestingSetup = .router, _ body: @Sendable (Client) async throws -> Void) async throws {
        var plane = plane
        plane.now = { [self] in Timestamp(milliseconds: clock.withLock { $0 }) }
        guard let address = Address("127.0.0.1:0") else { return }
        try await plane.application(address: address).test(setup) { client in
            try await body(Client(client: client, plane: self))
        }
    }

    var now: Int64 { clock.withLock { $0 } }

    func advance(_ milliseconds: Int64) { clock.withLock { $0 += milliseconds } }
}

/// Sends requests as somebody.
struct Client: Sendable {
    let client: any TestClientProtocol
    let plane: TestPlane

    struct Answer: Sendable {
        var status: Int
        var body: [UInt8]
        var headers: HTTPFields
        var text: String { String(decoding: body, as: UTF8.self) }
        func json<Value: Decodable>(_ type: Value.Type) throws -> Value {
            try JSONDecoder().decode(type, from: Data(body))
        }
        var code: String? { try? json(ErrorAnswer.self).error.code }
    }

    func send(
        _ method: HTTPRequest.Method, _ path: String, as token: String? = nil, _ body: [UInt8]? = nil,
        type: String? = "application/json", headers extra: HTTPFields = [:]
    ) async throws -> Answer {
        var headers = extra
        if let token { headers[.authorization] = "Bearer \(token)" }
        if body != nil, let type { headers[.contentType] = type }
        let response = try await client.execute(
            uri: path, method: method, headers: headers, body: body.map { ByteBuffer(bytes: $0) })
        return Answer(
            status: response.status.code, body: Array(response.body.readableBytesView), headers: response.headers)
    }

    func send(_ method: HTTPRequest.Method, _ path: String, as token: String?, json: String) async throws -> Answer {
        try await send(method, path, as: token, Array(json.utf8))
    }

    func usage(_ records: [UsageRecord], of pod: Subscription, as token: String? = nil) async throws -> Answer {
        try await send(
            .post, "/v1/pods/\(pod.podUID)/usage", as: token ?? pod.podToken,
            Batch.body(of: records.map(CloudEvent.encode)),
            type: Batch.contentType)
    }

    func makeVolume(_ name: String = "my-storage") async throws -> SharedVolume {
        let answer = try await send(.post, "/v1/volumes", as: plane.alpha, json: #"{"name":"\#(name)","size_gb":50}"#)
        try #require(answer.status == 201, "\(answer.text)")
        return try answer.json(SharedVolume.self)
    }

    func makePod(volume: Int64? = nil, team: String? = nil) async throws -> Subscription {
        let answer = try await send(
            .post, "/v1/subscriptions", as: team ?? plane.alpha,
            json: """
                {"displayName":"train","poolId":12,"poolName":"H100 80GB","vgpus":2,"instanceTypeId":"medium","imageUuid":"abc",
                "sharedVolumeIds":[\(volume.map(String.init) ?? "")],"hfItemId":"meta-llama/Llama-3.1-8B","deployScript":"vllm"}
                """)
        try #require(answer.status == 201, "\(answer.text)")
        return try answer.json(Subscription.self)
    }
}

func epoch(_ number: Int = 1) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 32 - digits.count) + digits
}

func record(
    of pod: String, epoch number: Int = 1, seq: UInt64, gpu: String = "GPU-0", _ span: Range<UInt64>,
    ending: Int64 = 1_795_475_000_000,
    cause: UsageRecord.GapCause? = nil, memory: UInt64? = 7
) -> UsageRecord {
    UsageRecord(
        podUID: pod, epoch: epoch(number), seq: seq, gpuUUID: gpu, bootID: "boot", startMilliseconds: span.lowerBound,
        endMilliseconds: span.upperBound, endRealtimeMilliseconds: ending,
        content: cause.map { .gap($0) }
            ?? .interval(
                .init(
                    observedMilliseconds: span.upperBound - span.lowerBound, energyMillijoules: 5,
                    memoryByteMilliseconds: memory,
                    samples: 1, expectedSamples: 1)))
}
