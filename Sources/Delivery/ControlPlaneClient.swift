import AsyncHTTPClient
import FoundationEssentials
import Glibc
import LinuxKit
public import NIOCore
import NIOHTTP1
import NIOSSL

/// Why a request to the control plane did not succeed.
public enum ControlPlaneError: Error, Sendable, Equatable, CustomStringConvertible {
    /// No `control_plane.url` is configured.
    case notConfigured
    /// The token file cannot be used.
    case token(String)
    /// The certificate authority file cannot be used.
    case certificates(String)
    /// No answer: refused, reset, timed out, certificate not accepted.
    case unreachable(String)
    /// An answer with an error status and the control plane's words.
    case status(UInt, String)
    /// An answer that is not what the API promises.
    case malformed(String)

    /// What happened and what to do.
    public var description: String {
        switch self {
        case .notConfigured: "no control plane is configured; set control_plane.url"
        case .token(let reason): "the control plane token cannot be used: \(reason)"
        case .certificates(let reason): "control_plane.ca_file cannot be used: \(reason)"
        case .unreachable(let reason): "the control plane cannot be reached: \(reason)"
        case .status(401, _): "the control plane does not accept the pod's token (401); it may have been revoked"
        case .status(let code, let message): "the control plane refused (\(code)): \(message)"
        case .malformed(let reason): "the control plane's answer is not understood: \(reason)"
        }
    }
}

/// Requests to the control plane with the pod's token: one connection, no redirects, every answer bounded.
public final class ControlPlaneClient: Sendable {
    /// An answer as it came.
    public struct Response: Sendable {
        /// HTTP status.
        public var status: UInt
        /// The Retry-After header, if any.
        public var retryAfter: String?
        /// The body, at most ``ControlPlaneClient/maximumBytes``.
        public var body: [UInt8]
    }

    /// The largest answer that is read, in bytes.
    public static let maximumBytes = 1 << 20

    private let client: HTTPClient
    private let baseURL: String
    private let tokenFile: String

    /// Prepares a client; connects at the first request.
    ///
    /// - Parameters:
    ///   - url: base URL, `http://` or `https://`.
    ///   - tokenFile: read for every request, so that a replaced token is used at once.
    ///   - caFile: additional certificate authorities in PEM; empty for the system's.
    public init(url: String, tokenFile: String, caFile: String, group: any EventLoopGroup) throws(ControlPlaneError) {
        guard !url.isEmpty else { throw .notConfigured }
        var tls = TLSConfiguration.makeClientConfiguration()
        if !caFile.isEmpty {
            do { tls.additionalTrustRoots = [.certificates(try NIOSSLCertificate.fromPEMFile(caFile))] } catch {
                throw .certificates("\(TerminalText.escape(caFile)): \(error)")
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
        self.tokenFile = tokenFile
    }

    /// Closes connections. No request may follow.
    public func shutdown() async { try? await client.shutdown() }

    /// Sends one request and reads the whole answer.
    ///
    /// - Throws: ``ControlPlaneError`` `token`, `unreachable`; an error status is a normal answer here.
    public func request(
        _ method: String, _ path: String, body: [UInt8]? = nil, contentType: String = "application/json",
        seconds: Int64 = 10
    ) async throws(ControlPlaneError) -> Response {
        var request = HTTPClientRequest(url: baseURL + path)
        request.method = HTTPMethod(rawValue: method)
        request.headers.add(name: "Authorization", value: "Bearer \(try token())")
        request.headers.add(name: "Accept", value: "application/json")
        if let body {
            request.headers.add(name: "Content-Type", value: contentType)
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        do {
            let response = try await client.execute(request, timeout: .seconds(seconds))
            let body = try await response.body.collect(upTo: Self.maximumBytes)
            return Response(
                status: response.status.code, retryAfter: response.headers.first(name: "Retry-After"),
                body: Array(body.readableBytesView))
        } catch {
            throw .unreachable("\(baseURL): \(TerminalText.escape(String(describing: error)))")
        }
    }

    /// Sends JSON and reads JSON.
    ///
    /// - Throws: ``ControlPlaneError``; every status but 2xx is an error with the control plane's message.
    public func exchange<Answer: Decodable>(
        _ method: String, _ path: String, _ body: (any Encodable & Sendable)? = nil, as: Answer.Type = Answer.self
    ) async throws(ControlPlaneError) -> Answer {
        let encoded: [UInt8]?
        do { encoded = try body.map { Array(try JSONEncoder().encode($0)) } } catch {
            throw .malformed("the request cannot be written as JSON")
        }
        let response = try await request(method, path, body: encoded)
        guard (200..<300).contains(response.status) else {
            throw .status(response.status, Self.message(of: response.body))
        }
        do { return try JSONDecoder().decode(Answer.self, from: Data(response.body)) } catch {
            throw .malformed("\(method) \(path) gave \(response.body.count) bytes that are not \(Answer.self)")
        }
    }

    private static func message(of body: [UInt8]) -> String {
        struct Wire: Decodable {
            struct Inner: Decodable { var message: String }
            var error: Inner
        }
        let message = (try? JSONDecoder().decode(Wire.self, from: Data(body)))?.error.message
        return TerminalText.escape(message ?? "no reason given")
    }

    /// The token; its file must not be readable by others, because whoever reads it can speak for the pod.
    private func token() throws(ControlPlaneError) -> String {
        let text: String
        do throws(LinuxError) {
            let file = try Descriptor(opening: tokenFile, O_RDONLY)
            guard try FileStatus(descriptor: file.number).permissions & 0o077 == 0 else {
                throw LinuxError("use", tokenFile, code: EACCES)
            }
            text = String(decoding: try file.readToEnd(limit: 4096), as: UTF8.self)
        } catch {
            let advice = error.code == EACCES ? "; it must be readable by its owner only: chmod 600" : ""
            throw .token("\(error)\(advice)")
        }
        let token = text.filter { !$0.isWhitespace }
        guard !token.isEmpty, token.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw .token("\(TerminalText.escape(tokenFile)) does not hold a token")
        }
        return token
    }
}
