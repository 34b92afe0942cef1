import FoundationEssentials
import LinuxKit
public import NIOCore

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

/// Requests to the control plane with the pod's token.
public final class ControlPlaneClient: Sendable {
    /// An answer as it came.
    public typealias Response = HTTPTransport.Response

    private let transport: HTTPTransport
    private let tokenFile: String

    /// Prepares a client; connects at the first request.
    ///
    /// - Parameters:
    ///   - url: base URL, `http://` or `https://`.
    ///   - tokenFile: read for every request, so that a replaced token is used at once.
    ///   - caFile: additional certificate authorities in PEM; empty for the system's.
    public init(url: String, tokenFile: String, caFile: String, group: any EventLoopGroup) throws(ControlPlaneError) {
        guard !url.isEmpty else { throw .notConfigured }
        do { transport = try HTTPTransport(url: url, caFile: caFile, group: group) } catch {
            throw .certificates(error.reason)
        }
        self.tokenFile = tokenFile
    }

    /// Closes connections. No request may follow.
    public func shutdown() async { await transport.shutdown() }

    /// Sends one request and reads the whole answer.
    ///
    /// - Throws: ``ControlPlaneError`` `token`, `unreachable`; an error status is a normal answer here.
    public func request(
        _ method: String, _ path: String, body: [UInt8]? = nil, contentType: String = "application/json",
        seconds: Int64 = 10
    ) async throws(ControlPlaneError) -> Response {
        var headers = [("Authorization", "Bearer \(try token())"), ("Accept", "application/json")]
        if body != nil { headers.append(("Content-Type", contentType)) }
        do {
            return try await transport.request(method, path, headers: headers, body: body, seconds: seconds)
        } catch {
            throw .unreachable(error.reason)
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

    private func token() throws(ControlPlaneError) -> String {
        let text: String
        do throws(SecretFile.Failure) { text = try SecretFile.read(tokenFile) } catch {
            throw .token(error.description)
        }
        let token = text.filter { !$0.isWhitespace }
        guard !token.isEmpty, token.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw .token("\(TerminalText.escape(tokenFile)) does not hold a token")
        }
        return token
    }
}
