import ControlPlaneAPI
import FoundationEssentials
import GRDB
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// An answer that is not a success, with its `{"error":{...}}` body.
struct APIFailure: Error {
    var status: HTTPResponse.Status
    var problem: ErrorAnswer.Problem

    init(_ status: HTTPResponse.Status, _ code: String, _ message: String, atRisk: AtRiskSummary? = nil) {
        self.status = status
        problem = .init(code: code, message: message, atRisk: atRisk)
    }

    static func invalid(_ message: String) -> APIFailure { .init(.badRequest, "invalid_request", message) }
    static func notFound(_ what: String) -> APIFailure { .init(.notFound, "not_found", "there is no such \(what)") }
    static func forbidden(_ message: String) -> APIFailure { .init(.forbidden, "forbidden", message) }
    static func conflict(_ code: String, _ message: String) -> APIFailure { .init(.conflict, code, message) }

    var response: Response { JSONAnswer.response(ErrorAnswer(problem), status: status) }
}

enum JSONAnswer {
    static func response(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            let bytes = Array(try encoder.encode(value))
            return Response(
                status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
                body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
        } catch {
            // Only a number that JSON cannot write (infinity) ends here; no value of ours holds one.
            return Response(status: .internalServerError)
        }
    }
}

/// Gives every error the documented body, and writes one log line for each request, without headers or bodies.
struct ErrorMiddleware: RouterMiddleware {
    typealias Context = ControlContext

    func handle(
        _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        let response: Response
        do { response = try await next(request, context) } catch {
            response = answer(to: error, context: context)
            if response.status == .contentTooLarge || response.status == .requestTimeout { context.closeSoon() }
        }
        context.logger.info(
            "request",
            metadata: [
                "method": "\(request.method.rawValue)", "path": "\(context.endpointPath ?? "-")",
                "status": "\(response.status.code)",
            ])
        return response
    }

    private func answer(to error: any Error, context: ControlContext) -> Response {
        switch error {
        case let failure as APIFailure: return failure.response
        case let failure as any HTTPResponseError:
            let code = failure.status == .notFound ? "not_found" : "invalid_request"
            return APIFailure(failure.status, code, "\(failure.status.reasonPhrase): see openapi.yaml for the routes")
                .response
        case let failure as DatabaseError
        where failure.resultCode == .SQLITE_BUSY || failure.resultCode == .SQLITE_FULL:
            context.logger.error("the database cannot be written", metadata: ["error": "\(failure.resultCode)"])
            return APIFailure(.serviceUnavailable, "unavailable", "the database cannot be written now; try again later")
                .response
        default:
            // A database error's text may quote arguments, so only its kind is logged.
            let text =
                (error as? DatabaseError).map { "SQLite \($0.extendedResultCode): \($0.message ?? "")" }
                ?? "\(type(of: error))"
            context.logger.error("a request failed", metadata: ["error": "\(text)"])
            return APIFailure(
                .internalServerError, "internal", "the control plane failed; the request may be sent again"
            ).response
        }
    }
}

enum Decoding {
    /// What is wrong with a JSON document, in a few words.
    static func reason(_ error: DecodingError) -> String {
        func path(_ keys: [any CodingKey]) -> String {
            keys.isEmpty
                ? "the document" : keys.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        }
        return switch error {
        case .keyNotFound(let key, let context): "\(path(context.codingPath + [key])) is missing"
        case .typeMismatch(_, let context): "\(path(context.codingPath)) has the wrong type"
        case .valueNotFound(_, let context): "\(path(context.codingPath)) is null"
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            "\(path(context.codingPath)): \(context.debugDescription)"
        default: "it is not valid JSON"
        }
    }
}
