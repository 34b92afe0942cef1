import ControlPlaneAPI
import HTTPTypes
import HummingbirdTesting
import Testing
import UsageRecord

@testable import packet_control

@Suite struct ScopeTests {
    /// What each caller gets. `others` are another team and another pod.
    struct Case: Sendable, CustomTestStringConvertible {
        var method: HTTPRequest.Method
        var path: String
        var body: String?
        var type = "application/json"
        var team: Int
        var otherTeam: Int
        var ownPod: Int
        var otherPod: Int
        var testDescription: String { "\(method.rawValue) \(path)" }
    }

    static let hello =
        #"{"epoch":"\#(epoch())","boot_id":"b","agent_version":"1","started_at":"2026-11-23T00:00:00Z","volumes":[],"gpus":[]}"#
    static let shape = #"{"displayName":"x","poolId":"1","vgpus":1}"#

    // SNAP is a snapshot of the pod, FREE a volume nobody holds.
    static let cases: [Case] = [
        .init(
            method: .post, path: "/v1/pods/POD/hello", body: hello, team: 403, otherTeam: 403, ownPod: 200,
            otherPod: 403),
        .init(
            method: .post, path: "/v1/pods/POD/usage", body: "[]", type: Batch.contentType, team: 403, otherTeam: 403,
            ownPod: 200, otherPod: 403),
        .init(
            method: .put, path: "/v1/pods/POD/report", body: "{}", team: 403, otherTeam: 403, ownPod: 204, otherPod: 403
        ),
        .init(method: .get, path: "/v1/volumes", team: 200, otherTeam: 200, ownPod: 403, otherPod: 403),
        .init(
            method: .post, path: "/v1/volumes", body: #"{"name":"v","size_gb":1}"#, team: 201, otherTeam: 201,
            ownPod: 403, otherPod: 403),
        .init(method: .delete, path: "/v1/volumes/FREE", team: 200, otherTeam: 404, ownPod: 403, otherPod: 403),
        .init(method: .get, path: "/v1/snapshots", team: 200, otherTeam: 200, ownPod: 200, otherPod: 200),
        .init(
            method: .post, path: "/v1/snapshots", body: #"{"name":"mine"}"#, team: 400, otherTeam: 400, ownPod: 201,
            otherPod: 201),
        .init(
            method: .post, path: "/v1/snapshots", body: #"{"name":"of","podUid":"POD"}"#, team: 201, otherTeam: 404,
            ownPod: 201, otherPod: 403),
        .init(
            method: .post, path: "/v1/snapshots", body: #"{"name":"of","subscriptionId":"SUB"}"#, team: 201,
            otherTeam: 404, ownPod: 201, otherPod: 403),
        .init(
            method: .post, path: "/v1/snapshots", body: #"{"name":"of","persistentVolumeId":FREE}"#, team: 400,
            otherTeam: 400, ownPod: 403, otherPod: 403),
        .init(method: .post, path: "/v1/snapshots", body: shape, team: 201, otherTeam: 201, ownPod: 403, otherPod: 403),
        .init(method: .get, path: "/v1/snapshots/SNAP", team: 200, otherTeam: 404, ownPod: 200, otherPod: 403),
        .init(method: .delete, path: "/v1/snapshots/SNAP", team: 204, otherTeam: 404, ownPod: 403, otherPod: 403),
        .init(
            method: .post, path: "/v1/snapshots/SNAP/restore", body: #"{"attachStorage":false}"#, team: 201,
            otherTeam: 404, ownPod: 403, otherPod: 403),
        .init(method: .get, path: "/v1/subscriptions", team: 200, otherTeam: 200, ownPod: 403, otherPod: 403),
        .init(
            method: .post, path: "/v1/subscriptions", body: shape, team: 201, otherTeam: 201, ownPod: 403, otherPod: 403
        ),
        .init(method: .get, path: "/v1/subscriptions/SUB", team: 200, otherTeam: 404, ownPod: 200, otherPod: 403),
        .init(
            method: .delete, path: "/v1/subscriptions/SUB?confirm=loss", team: 200, otherTeam: 404, ownPod: 403,
            otherPod: 403),
        .init(method: .get, path: "/v1/usage", team: 200, otherTeam: 200, ownPod: 403, otherPod: 403),
        .init(method: .get, path: "/", team: 200, otherTeam: 200, ownPod: 403, otherPod: 403),
    ]

    @Test func everyRouteButHealthIsInTheMatrix() {
        let tested = Set(
            Self.cases.map { one in
                let path = one.path.split(separator: "?")[0].replacing("POD", with: "{pod}").replacing(
                    "SNAP", with: "{id}"
                )
                .replacing("SUB", with: "{id}").replacing("FREE", with: "{id}")
                return "\(one.method.rawValue) \(path)"
            })
        let routes = Set(Route.all.filter { $0.access != .everybody }.map { "\($0.method.rawValue) \($0.path)" })
        #expect(tested == routes)
    }

    @Test(arguments: cases) func aRouteIsOpenToExactlyThoseItIsFor(one: Case) async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            // Each caller finds everything as it was: the narrower ones first, the one that may change it last.
            let pod = try await client.makePod(volume: client.makeVolume().id)
            let neighbour = try await client.makePod()
            let free = try await client.makeVolume("free")
            let made = try await client.send(.post, "/v1/snapshots", as: pod.podToken, json: #"{"name":"s"}"#)
            let snapshot = try made.json(Snapshot.self)
            func fill(_ text: String) -> String {
                text.replacing("POD", with: pod.podUID).replacing("SNAP", with: snapshot.id).replacing(
                    "SUB", with: pod.id
                )
                .replacing("FREE", with: String(free.id))
            }
            func status(_ token: String?) async throws -> Int {
                let answer = try await client.send(
                    one.method, fill(one.path), as: token, one.body.map { Array(fill($0).utf8) }, type: one.type)
                if answer.status >= 400 { #expect(answer.code != nil, "\(answer.text)") }
                return answer.status
            }
            #expect(try await status(nil) == 401)
            #expect(try await status("packet_team_0000000000000000_" + String(repeating: "0", count: 64)) == 401)
            #expect(try await status("nonsense") == 401)
            #expect(try await status(neighbour.podToken) == one.otherPod)
            #expect(try await status(plane.beta) == one.otherTeam)
            #expect(try await status(pod.podToken) == one.ownPod)
            #expect(try await status(plane.alpha) == one.team)
        }
    }

    @Test func aPodsTokenEndsWithItsSubscription() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let pod = try await client.makePod()
            #expect(try await client.usage([], of: pod).status == 200)
            let end = "/v1/subscriptions/\(pod.id)?confirm=loss"
            #expect(try await client.send(.delete, end, as: plane.alpha).status == 200)
            #expect(try await client.usage([], of: pod).status == 401)
        }
    }

    @Test func aTokenOfTheRightNameAndWrongSecretIsUnknown() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let pod = try await client.makePod()
            for token in [plane.alpha, try #require(pod.podToken)] {
                let forged = token.dropLast() + (token.hasSuffix("0") ? "1" : "0")
                #expect(try await client.send(.get, "/v1/snapshots", as: token).status == 200)
                #expect(try await client.send(.get, "/v1/snapshots", as: String(forged)).status == 401)
            }
        }
    }

    @Test func onlyTheFleetPageTakesAPassword() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let basic: HTTPFields = [.authorization: "Basic " + base64("me:\(plane.alpha)")]
            #expect(try await client.send(.get, "/", headers: basic).status == 200)
            #expect(try await client.send(.get, "/v1/volumes", headers: basic).status == 401)
            let answer = try await client.send(.get, "/")
            #expect(answer.headers[.wwwAuthenticate]?.hasPrefix("Basic") == true)
        }
    }
}

func base64(_ text: String) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    let bytes = Array(text.utf8)
    return stride(from: 0, to: bytes.count, by: 3).map { start in
        let group = bytes[start..<min(start + 3, bytes.count)]
        let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
        let characters = (0..<4).map { alphabet[bits >> (18 - 6 * $0) & 63] }
        return String(characters.prefix(group.count + 1)) + String(repeating: "=", count: 3 - group.count)
    }.joined()
}
