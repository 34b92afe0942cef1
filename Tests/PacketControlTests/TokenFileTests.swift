import ControlPlaneAPI
import Glibc
import Logging
import Testing

@testable import packet_control

@Suite struct TokenFileTests {
    @Test func aFileThatOthersMayReadIsRefused() throws {
        let plane = try TestPlane()
        let path = plane.directory + "/tokens.json"
        for mode: mode_t in [0o644, 0o640, 0o602] {
            chmod(path, mode)
            let problem = #expect(throws: TokenFile.Problem.self) { try TokenFile.read(path) }
            #expect(problem?.description.contains("chmod 600 \(path)") == true)
        }
        chmod(path, 0o600)
        #expect(try TokenFile.read(path).map(\.team) == ["alpha", "beta"])
    }

    @Test func aFileHoldsHashesAndIsReadAgainWhenItChanges() throws {
        let plane = try TestPlane()
        let path = plane.directory + "/tokens.json"
        let text = String(decoding: try LocalBytes.read(path), as: UTF8.self)
        #expect(!text.contains(plane.alpha) && text.contains("sha256"))
        let new = Secret.make(.team)
        let alpha = try #require(Secret(plane.alpha))
        #expect(plane.plane.teams.team(of: new) == nil)
        try TokenFile.write(
            [.init(id: new.id, team: "gamma", sha256: new.sha256, createdAt: .init(milliseconds: 0))], to: path)
        #expect(plane.plane.teams.team(of: new) == "gamma")
        #expect(plane.plane.teams.team(of: alpha) == nil, "a token that was taken out is unknown at once")
    }

    @Test func aBrokenEditLeavesTheTokensAsTheyWere() throws {
        let plane = try TestPlane()
        let alpha = try #require(Secret(plane.alpha))
        let path = plane.directory + "/tokens.json"
        truncate(path, 10)
        #expect(plane.plane.teams.team(of: alpha) == "alpha")
        #expect(throws: TokenFile.Problem.self) { try TokenFile.read(path) }
    }

    @Test func tokensAreReadExactly() throws {
        let secret = Secret.make(.pod)
        #expect(Secret(secret.text) == secret)
        for text in [
            "", "packet", "packet_team__", "packet_root_0123456789abcdef_" + String(repeating: "0", count: 64),
            secret.text + "0",
        ] {
            #expect(Secret(text) == nil)
        }
        #expect(Set((0..<100).map { _ in Secret.make(.team).text }).count == 100)
        #expect(
            Secret.uuid().wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
    }

    @Test(arguments: [
        ("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:0", "::1", 0), ("localhost:65535", "localhost", 65535),
    ]) func anAddressIsAHostAndAPort(text: String, host: String, port: Int) {
        #expect(Address(text)?.host == host && Address(text)?.port == port)
    }

    @Test(arguments: ["", ":80", "host", "host:", "host:65536", "::1:80", "host:-1"])
    func whatIsNotAnAddressIsRefused(text: String) { #expect(Address(text) == nil) }
}

enum LocalBytes {
    static func read(_ path: String) throws -> [UInt8] {
        let file = open(path, O_RDONLY)
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = Glibc.read(file, &buffer, buffer.count)
        return Array(buffer.prefix(max(0, count)))
    }
}
