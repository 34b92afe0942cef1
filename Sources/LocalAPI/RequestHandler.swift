import Glibc
import LinuxKit
import NIOCore
import NIOHTTP1

/// Answers one request and closes.
final class RequestHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let changes: LocalServer.Changes?
    private let onlyLocalNames: Bool
    private let respond: @Sendable (String) -> LocalServer.Answer
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    init(
        _ changes: LocalServer.Changes?, onlyLocalNames: Bool,
        _ respond: @escaping @Sendable (String) -> LocalServer.Answer
    ) {
        self.changes = changes
        self.onlyLocalNames = onlyLocalNames
        self.respond = respond
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        // At most as long as ``SizeLimit`` lets through.
        case .body(let part): body += part.readableBytesView
        case .end:
            guard let head else { return }
            self.head = nil
            if onlyLocalNames, !Self.isLocal(head.headers["Host"]) {
                return write(.refusal(421, "misdirected_request", "ask for localhost or 127.0.0.1"), context)
            }
            switch (head.method, changes) {
            case (.GET, _): write(respond(head.uri), context)
            case (.POST, let changes?): change(changes, head.uri, context)
            default: write(.refusal(405, "method_not_allowed", "this is not served here"), context)
            }
        }
    }

    private func change(_ changes: LocalServer.Changes, _ path: String, _ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let body = body
        PeerCredentials.uid(of: context.channel).whenComplete { result in
            let (handler, context) = bound.value
            guard context.channel.isActive else { return }
            guard case .success(let uid) = result, changes.isAllowed(uid) else {
                return handler.write(
                    .refusal(403, "forbidden", "root and the users in agent.allowed_users may do this"), context)
            }
            handler.write(changes.perform(path, body), context)
        }
    }

    /// Whether a client asked for this machine by a name that nobody outside can lead here: one Host, `localhost` or a number.
    private static func isLocal(_ hosts: [String]) -> Bool {
        guard hosts.count == 1 else { return false }
        if hosts[0].hasPrefix("[") { return hosts[0].hasPrefix("[::1]") }
        let host = hosts[0].prefix { $0 != ":" }.lowercased()
        var address = in_addr()
        return host == "localhost" || inet_pton(AF_INET, host, &address) == 1
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func write(_ answer: LocalServer.Answer, _ context: ChannelHandlerContext) {
        var headers = HTTPHeaders()
        headers.add(name: "Content-Type", value: answer.contentType)
        headers.add(name: "Content-Length", value: String(answer.body.count))
        headers.add(name: "Connection", value: "close")
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: Int(answer.status)), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
    }
}

extension LocalServer.Answer {
    /// An error in the form of the control plane's. Neither text may hold quotes or backslashes.
    public static func refusal(_ status: UInt, _ code: StaticString, _ message: StaticString) -> LocalServer.Answer {
        .init(status: status, body: Array(#"{"error":{"code":"\#(code)","message":"\#(message)"}}"#.utf8))
    }
}
