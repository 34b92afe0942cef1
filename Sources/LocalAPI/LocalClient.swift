import AsyncHTTPClient
import FoundationEssentials
import LinuxKit
import NIOCore
import NIOHTTP1
import NIOPosix

/// The command line's side of the local socket.
public enum LocalClient {
    /// Why the daemon did not answer.
    public enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
        /// Nobody listens on the socket.
        case notRunning(socket: String)
        /// The daemon answered with an error status, or not in time.
        case refused(String)
        /// This user may not do that.
        case forbidden(String)

        /// What happened and what to do.
        public var description: String {
            switch self {
            case .notRunning(let socket):
                "the agent is not running (nobody listens on \(socket)); start it with: packet-agent run"
            case .refused(let reason): "the agent did not answer: \(reason)"
            case .forbidden(let reason): "not allowed: \(reason)"
            }
        }
    }

    /// The largest answer that is read, in bytes.
    public static let maximumBytes = 4 << 20

    /// GETs a path from the daemon.
    public static func get(_ path: String, socket: String, milliseconds: Int64 = 2000) async throws(Failure) -> [UInt8]
    {
        try await request(.GET, path, nil, socket, milliseconds)
    }

    /// POSTs JSON to a path of the daemon.
    ///
    /// - Throws: ``Failure`` `forbidden` when the daemon does not let this user change anything.
    public static func post(
        _ path: String, _ body: [UInt8], socket: String, milliseconds: Int64 = 2000
    ) async throws(Failure) -> [UInt8] { try await request(.POST, path, body, socket, milliseconds) }

    private static func request(
        _ method: HTTPMethod, _ path: String, _ body: [UInt8]?, _ socket: String, _ milliseconds: Int64
    ) async throws(Failure) -> [UInt8] {
        guard LocalServer.isAnswered(socket) else { throw .notRunning(socket: socket) }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        let client = HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
        let result: Result<[UInt8], Failure>
        do {
            let escaped = socket.utf8.map { byte -> String in
                let isPlain = (48...57).contains(byte) || (65...90).contains(byte | 0) || (97...122).contains(byte)
                guard !isPlain else { return String(UnicodeScalar(byte)) }
                let hex = String(byte, radix: 16, uppercase: true)
                return "%" + (hex.count < 2 ? "0" + hex : hex)
            }.joined()
            var request = HTTPClientRequest(url: "http+unix://\(escaped)\(path)")
            request.method = method
            if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
            let response = try await client.execute(request, timeout: .milliseconds(milliseconds))
            let answer = try await response.body.collect(upTo: maximumBytes)
            switch response.status {
            case .ok: result = .success(Array(answer.readableBytesView))
            case .forbidden: result = .failure(.forbidden(message(of: answer)))
            default: result = .failure(.refused("status \(response.status.code)"))
            }
        } catch {
            result = .failure(.refused(TerminalText.escape(String(describing: error))))
        }
        try? await client.shutdown()
        try? await group.shutdownGracefully()
        return try result.get()
    }

    private static func message(of body: ByteBuffer) -> String {
        struct Wire: Decodable {
            struct Inner: Decodable { var message: String }
            var error: Inner
        }
        let wire = try? JSONDecoder().decode(Wire.self, from: Data(body.readableBytesView))
        return TerminalText.escape(wire?.error.message ?? "no reason given")
    }
}
