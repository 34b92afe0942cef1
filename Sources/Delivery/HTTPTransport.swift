import AsyncHTTPClient
import LinuxKit
public import NIOCore
import NIOHTTP1
import NIOSSL

/// Requests to one server: one connection, no redirects, every request with a deadline and every answer bounded.
public final class HTTPTransport: Sendable {
    /// Why there is no answer, or no transport.
    public struct Failure: Error, Sendable, Equatable {
        /// What happened.
        public let reason: String
    }

    /// An answer as it came.
    public struct Response: Sendable {
        /// HTTP status.
        public var status: UInt
        /// The Retry-After header, if any.
        public var retryAfter: String?
        /// The body, at most ``HTTPTransport/maximumBytes``.
        public var body: [UInt8]
    }

    /// The largest answer that is read, in bytes.
    public static let maximumBytes = 1 << 20

    private let client: HTTPClient
    private let baseURL: String

    /// Prepares a client; connects at the first request.
    ///
    /// - Parameters:
    ///   - url: base URL, `http://` or `https://`.
    ///   - caFile: additional certificate authorities in PEM; empty for the system's.
    /// - Throws: ``Failure`` when the certificates cannot be read.
    public init(url: String, caFile: String, group: any EventLoopGroup) throws(Failure) {
        var tls = TLSConfiguration.makeClientConfiguration()
        if !caFile.isEmpty {
            do { tls.additionalTrustRoots = [.certificates(try NIOSSLCertificate.fromPEMFile(caFile))] } catch {
                throw Failure(reason: "\(TerminalText.escape(caFile)): \(error)")
            }
        }
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: tls, redirectConfiguration: .disallow,
            timeout: .init(connect: .seconds(5), read: .seconds(10)))
        // Otherwise a refused connection or a bad certificate is retried until the deadline before it is told.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1
        configuration.httpVersion = .http1Only
        client = HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
        baseURL = url.hasSuffix("/") ? String(url.dropLast()) : url
    }

    /// Closes connections. No request may follow.
    public func shutdown() async { try? await client.shutdown() }

    /// Sends one request and reads the whole answer; an error status is a normal answer.
    ///
    /// - Throws: ``Failure``: refused, reset, timed out, certificate not accepted, cancelled.
    public func request(
        _ method: String, _ path: String, headers: [(String, String)], body: [UInt8]? = nil, seconds: Int64 = 10
    ) async throws(Failure) -> Response {
        var request = HTTPClientRequest(url: baseURL + path)
        request.method = HTTPMethod(rawValue: method)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        do {
            let response = try await client.execute(request, timeout: .seconds(seconds))
            let body = try await response.body.collect(upTo: Self.maximumBytes)
            return Response(
                status: response.status.code, retryAfter: response.headers.first(name: "Retry-After"),
                body: Array(body.readableBytesView))
        } catch {
            throw Failure(reason: "\(baseURL): \(TerminalText.escape(String(describing: error)))")
        }
    }
}
