import ControlPlaneAPI
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore

/// A pod that showed its token.
struct PodIdentity: Sendable, Equatable {
    var uid: String
    var subscriptionID: String
    var team: String
}

/// Who sent a request.
enum Caller: Sendable, Equatable {
    case nobody
    case team(String)
    case pod(PodIdentity)
}

/// Who may use a route. What a pod may see of a route that is open to both is for the handler to say.
enum Access: Sendable {
    /// Everybody, without a token.
    case everybody
    /// A team.
    case team
    /// The pod that the path names.
    case ownPod
    /// A team, or a pod for what is its own.
    case teamOrPod
    /// A team, with a browser: the token may be the password of HTTP Basic authentication (RFC 7617).
    case browser
}

extension ControlPlane {
    /// Finds out who sent a request, and whether they may use the route.
    func authorise(_ request: Request, _ context: ControlContext, _ access: Access) async throws -> Caller {
        if case .everybody = access { return .nobody }
        let caller = try await caller(of: request, access)
        switch (access, caller) {
        case (.team, .team), (.browser, .team), (.teamOrPod, .team), (.teamOrPod, .pod): return caller
        case (.ownPod, .pod(let pod)):
            guard context.parameters.get("pod") == pod.uid else {
                throw APIFailure.forbidden("this token belongs to another pod than the one in the path")
            }
            return caller
        case (.ownPod, _): throw APIFailure.forbidden("this route takes the token of the pod itself")
        default: throw APIFailure.forbidden("this route takes a team's token")
        }
    }

    private func caller(of request: Request, _ access: Access) async throws -> Caller {
        guard let text = Self.credentials(in: request, basic: access == .browser) else {
            throw APIFailure(
                .unauthorized, "unauthorized", "send a token: 'authorization: Bearer TOKEN'")
        }
        let unknown = APIFailure(.unauthorized, "unauthorized", "the token is unknown, or its subscription has ended")
        guard let secret = Secret(text) else { throw unknown }
        switch secret.kind {
        case .team:
            guard let team = teams.team(of: secret) else { throw unknown }
            return .team(team)
        case .pod:
            guard let pod = try await store.pod(withToken: secret) else { throw unknown }
            return .pod(pod)
        }
    }

    static func credentials(in request: Request, basic: Bool) -> String? {
        guard let header = request.headers[.authorization], header.utf8.count <= 1024,
            let space = header.firstIndex(of: " ")
        else { return nil }
        let rest = header[header.index(after: space)...].drop { $0 == " " }
        switch header[..<space].lowercased() {
        case "bearer": return String(rest)
        case "basic" where basic:
            guard let decoded = Data(base64Encoded: String(rest)) else { return nil }
            return String(decoding: decoded, as: UTF8.self).split(separator: ":", maxSplits: 1).last.map(String.init)
        default: return nil
        }
    }
}

extension Access: Equatable {}
