import Delivery
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

/// A control plane that answers every request with the same bytes.
private final class FixedServer: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    let answer: String

    init(_ answer: String) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
    }

    static func run<R: Sendable>(_ answer: String, _ body: (String) async throws -> R) async throws -> R {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FixedServer(answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(channel.localAddress?.port)
        let result = try await body("http://127.0.0.1:\(port)")
        try await channel.close()
        return result
    }
}

@Suite struct ControlPlaneClientTests {
    private struct Answer: Codable, Sendable { var ok: Bool }

    private func tokenFile(_ contents: String = "secret-token\n", mode: mode_t = 0o600) throws -> String {
        var template = Array("/tmp/token.XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        _ = contents.withCString { write(descriptor, $0, strlen($0)) }
        fchmod(descriptor, mode)
        close(descriptor)
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func withClient<R>(
        _ url: String, token: String? = nil, _ body: (ControlPlaneClient) async throws -> R
    ) async throws -> R {
        let client = try ControlPlaneClient(
            url: url, tokenFile: try token ?? tokenFile(), caFile: "", group: MultiThreadedEventLoopGroup.singleton)
        let result: R
        do { result = try await body(client) } catch {
            await client.shutdown()
            throw error
        }
        await client.shutdown()
        return result
    }

    private func http(_ status: String, _ body: String, headers: String = "") -> String {
        "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
    }

    @Test func jsonIsExchanged() async throws {
        let answer = try await FixedServer.run(http("200 OK", #"{"ok":true}"#)) { url in
            try await withClient(url) { try await $0.exchange("GET", "/v1/x", as: Answer.self) }
        }
        #expect(answer.ok)
    }

    @Test(arguments: [
        ("200 OK", "<html>captive portal</html>", "not understood"),
        ("200 OK", "", "not understood"),
        ("403 Forbidden", #"{"error":{"code":"forbidden","message":"not your pod"}}"#, "(403): not your pod"),
        ("401 Unauthorized", "x", "does not accept the pod's token"),
        ("500 Internal Server Error", "\u{1b}[31m", "(500): no reason given"),
    ]) func anAnswerThatIsNotOneIsAClearError(status: String, body: String, text: String) async throws {
        let error = try await FixedServer.run(http(status, body)) { url in
            try await withClient(url) { client -> ControlPlaneError? in
                do throws(ControlPlaneError) {
                    _ = try await client.exchange("GET", "/v1/x", as: Answer.self)
                    return nil
                } catch { return error }
            }
        }
        #expect(error?.description.contains(text) == true, "\(String(describing: error))")
    }

    @Test func aRedirectIsNotFollowed() async throws {
        let response = try await FixedServer.run(
            http("302 Found", "", headers: "Location: http://127.0.0.1:1/\r\n")
        ) { url in try await withClient(url) { try await $0.request("GET", "/v1/x") } }
        #expect(response.status == 302)
    }

    @Test func garbageAndRefusalAreUnreachable() async throws {
        for answer in ["SSH-2.0-OpenSSH_9.2\r\n", ""] {
            await #expect(throws: ControlPlaneError.self) {
                try await FixedServer.run(answer) { url in
                    try await withClient(url) { try await $0.request("GET", "/", seconds: 1) }
                }
            }
        }
        await #expect(throws: ControlPlaneError.self) {
            try await withClient("http://127.0.0.1:1") { try await $0.request("GET", "/") }
        }
    }

    @Test func aTokenThatOthersCanReadIsRefused() async throws {
        let file = try tokenFile(mode: 0o644)
        let error = await #expect(throws: ControlPlaneError.self) {
            try await withClient("http://127.0.0.1:1", token: file) { try await $0.request("GET", "/") }
        }
        #expect(error?.description.contains("chmod 600") == true)
    }

    @Test(arguments: ["", "two words", "line\u{1}"]) func aFileWithoutATokenIsRefused(contents: String) async throws {
        // White space is dropped, so "two words" is one token; control characters and nothing are not.
        let file = try tokenFile(contents)
        let error = await #expect(throws: ControlPlaneError.self) {
            try await withClient("http://127.0.0.1:1", token: file) { try await $0.request("GET", "/") }
        }
        if contents != "two words" { #expect(error?.description.contains("does not hold a token") == true) }
    }
}
