import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore

/// What a request carries through the router.
struct ControlContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    private let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }

    /// Closes the connection after the answer had time to leave: the rest of the body is not wanted, and the server would
    /// otherwise read it to its end.
    func closeSoon() {
        let channel = channel
        channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
    }
}

/// One authorised request.
struct Call: Sendable {
    let request: Request
    let context: ControlContext
    let caller: Caller

    /// A parameter of the path.
    func parameter(_ name: String) throws -> String { try context.parameters.require(name) }

    /// A parameter of the query, percent-decoded.
    func query(_ name: String) -> String? {
        request.uri.queryParameters[Substring(name)].map(String.init)
    }

    /// The position to continue a list from.
    func cursor() throws -> Int64 {
        guard let text = query("cursor") else { return 0 }
        guard let position = Int64(text), position >= 0 else {
            throw APIFailure.invalid("cursor is not one that this server gave out: leave it out to start anew")
        }
        return position
    }

    /// The whole body, within a size and ten seconds.
    func body(upTo limit: Int) async throws -> [UInt8] {
        if let length = request.headers[.contentLength].flatMap(Int.init), length > limit { throw Self.tooLarge(limit) }
        if let encoding = request.headers[.contentEncoding], encoding.lowercased() != "identity" {
            throw APIFailure(
                .unsupportedMediaType, "unsupported_encoding",
                "content-encoding \(encoding) is not supported: send it as it is")
        }
        let body = request.body
        return try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
            group.addTask {
                var bytes: [UInt8] = []
                for try await chunk in body {
                    guard bytes.count + chunk.readableBytes <= limit else { throw Self.tooLarge(limit) }
                    bytes.append(contentsOf: chunk.readableBytesView)
                }
                return bytes
            }
            group.addTask {
                try await Task.sleep(for: .seconds(10))
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let bytes = first else {
                throw APIFailure(.requestTimeout, "timeout", "the body did not arrive within 10 seconds")
            }
            return bytes
        }
    }

    private static func tooLarge(_ limit: Int) -> APIFailure {
        APIFailure(.contentTooLarge, "too_large", "the body is larger than \(limit) bytes")
    }

    /// The body as JSON.
    func json<Value: Decodable>(_ type: Value.Type, upTo limit: Int = 64 << 10) async throws -> Value {
        try requireContentType("application/json")
        return try Self.decode(type, from: try await body(upTo: limit))
    }

    /// The body as JSON, or nil when there is none.
    func optionalJSON<Value: Decodable>(_ type: Value.Type, upTo limit: Int = 64 << 10) async throws -> Value? {
        let bytes = try await body(upTo: limit)
        guard !bytes.isEmpty else { return nil }
        try requireContentType("application/json")
        return try Self.decode(type, from: bytes)
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch let error as DecodingError {
            throw APIFailure.invalid("the body cannot be used: \(Decoding.reason(error))")
        } catch {
            throw APIFailure.invalid("the body cannot be used: it is not valid JSON")
        }
    }

    /// Refuses a body of another media type; parameters such as a charset are allowed.
    func requireContentType(_ type: String) throws {
        let given = request.headers[.contentType]?.split(separator: ";").first.map {
            $0.filter { $0 != " " }.lowercased()
        }
        guard given == type else {
            throw APIFailure(.unsupportedMediaType, "unsupported_media_type", "send the body as content-type \(type)")
        }
    }
}
