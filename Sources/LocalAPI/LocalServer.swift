import Glibc
import LinuxKit
public import NIOCore
import NIOHTTP1
import NIOPosix

/// The daemon's side of the local socket: HTTP/1.1 over a Unix socket that every user of the pod may read from.
///
/// Answers come from values that are already in memory, so that a request never waits for a disk, a mount or a GPU.
/// Only GET exists; whatever will change state has to look at the peer's credentials first.
public struct LocalServer: Sendable {
    /// One answer.
    public struct Answer: Sendable {
        /// HTTP status.
        public var status: UInt
        /// The body's media type.
        public var contentType: String
        /// The text.
        public var body: [UInt8]

        /// Makes an answer.
        public init(status: UInt = 200, contentType: String = "application/json", body: [UInt8]) {
            self.status = status
            self.contentType = contentType
            self.body = body
        }
    }

    /// Connections served at the same time; further ones wait in the kernel's queue.
    public static let maximumConnections = 16
    /// Seconds after which a connection is closed, whatever it does.
    public static let deadlineSeconds: Int64 = 5

    private let channel: any Channel
    private let path: String?

    /// Listens on a socket that everybody may connect to (mode 0666), replacing one that a dead daemon left.
    ///
    /// - Parameter respond: called on the event loop with the path; must not block.
    /// - Throws: ``LinuxError`` when the directory cannot be written or another daemon is listening.
    public static func start(
        path: String, group: any EventLoopGroup, respond: @escaping @Sendable (String) -> Answer
    ) async throws -> LocalServer {
        try await removeStaleSocket(path)
        let channel = try await bootstrap(group, respond).bind(unixDomainSocketPath: path).get()
        guard chmod(path, 0o666) == 0 else { throw LinuxError("set mode of", path, code: errno) }
        return LocalServer(channel: channel, path: path)
    }

    /// Listens on an address for programs outside, such as Prometheus.
    ///
    /// - Parameters:
    ///   - host: an address or a name; a name is looked up.
    ///   - respond: as for a socket.
    public static func start(
        host: String, port: Int, group: any EventLoopGroup, respond: @escaping @Sendable (String) -> Answer
    ) async throws -> LocalServer {
        let reuse = ChannelOptions.socketOption(.so_reuseaddr)
        // A web page in a browser of this machine reaches loopback too, by a name of its own that leads here: only by the
        // Host header it is told from a program that knows whom it asks. Whoever listens for others is asked by any name.
        let isLoopback = host == "localhost" || host.hasPrefix("127.") || host == "::1"
        let channel = try await bootstrap(group, onlyLocalNames: isLoopback, respond)
            .serverChannelOption(reuse, value: 1).bind(host: host, port: port).get()
        return LocalServer(channel: channel, path: nil)
    }

    /// The port that was bound, for port 0; nil for a socket.
    public var port: Int? { channel.localAddress?.port }

    private static func bootstrap(
        _ group: any EventLoopGroup, onlyLocalNames: Bool = false, _ respond: @escaping @Sendable (String) -> Answer
    ) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.maxMessagesPerRead, value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ConnectionLimit(maximumConnections))
                }
            }
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try configure(channel, onlyLocalNames: onlyLocalNames, respond)
                }
            }
    }

    /// Prepares a connection: HTTP, one answer, a deadline.
    ///
    /// - Parameter onlyLocalNames: whether the Host header must be `localhost` or an address.
    static func configure(
        _ channel: any Channel, onlyLocalNames: Bool = false, _ respond: @escaping @Sendable (String) -> Answer
    ) throws {
        try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
        try channel.pipeline.syncOperations.addHandler(
            RequestHandler(onlyLocalNames: onlyLocalNames, respond: respond))
        channel.eventLoop.scheduleTask(in: .seconds(deadlineSeconds)) { channel.close(promise: nil) }
    }

    /// Stops listening and removes a socket's name.
    public func stop() async {
        try? await channel.close()
        if let path { unlink(path) }
    }

    private static func removeStaleSocket(_ path: String) async throws {
        guard let status = try? FileStatus(path) else { return }
        guard status.kind == .socket else { throw LinuxError("listen on", path, code: EEXIST) }
        // A child that a killed daemon was just starting holds its socket until the child runs its own program.
        let giveUp = ContinuousClock.now + .seconds(2)
        while isAnswered(path) {
            guard ContinuousClock.now < giveUp else { throw LinuxError("listen on", path, code: EADDRINUSE) }
            try await Task.sleep(for: .milliseconds(50))
        }
        guard unlink(path) == 0 else { throw LinuxError("remove", path, code: errno) }
    }

    /// True when some process accepts connections on a socket.
    public static func isAnswered(_ path: String) -> Bool {
        let socket = Descriptor(owning: Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        guard socket.number >= 0, path.utf8.count < 108 else { return false }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket.number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return result == 0
    }
}

/// Answers one request and closes.
private final class RequestHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// Bytes of body that are tolerated; no route takes one.
    private static let maximumBody = 16 << 10

    private let onlyLocalNames: Bool
    private let respond: @Sendable (String) -> LocalServer.Answer
    private var head: HTTPRequestHead?
    private var bodyBytes = 0

    init(onlyLocalNames: Bool, respond: @escaping @Sendable (String) -> LocalServer.Answer) {
        self.onlyLocalNames = onlyLocalNames
        self.respond = respond
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body(let part):
            bodyBytes += part.readableBytes
            if bodyBytes > Self.maximumBody { context.close(promise: nil) }
        case .end:
            guard let head else { return }
            self.head = nil
            if onlyLocalNames, !Self.isLocal(head.headers["Host"]) {
                return write(.init(status: 421, body: Self.wrongHost), context)
            }
            write(head.method == .GET ? respond(head.uri) : .init(status: 405, body: Self.onlyGET), context)
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

    private static let wrongHost = Array(
        #"{"error":{"code":"misdirected_request","message":"ask for localhost or 127.0.0.1"}}"#.utf8)

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private static let onlyGET = Array(
        #"{"error":{"code":"method_not_allowed","message":"only GET is served here"}}"#.utf8)

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
