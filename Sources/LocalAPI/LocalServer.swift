import Glibc
import LinuxKit
public import NIOCore
import NIOHTTP1
import NIOPosix

/// The daemon's side of the local socket: HTTP/1.1 over a Unix socket that every user of the pod may read from.
///
/// Answers come from values that are already in memory, so that a request never waits for a disk, a mount or a GPU. Every
/// user may GET; POST changes something, and reaches ``Changes`` only from users that may.
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

    /// What may be changed over a Unix socket, and by whom.
    public struct Changes: Sendable {
        /// Whether a user may change something: the peer's uid as the kernel says it (SO_PEERCRED, unix(7)).
        let isAllowed: @Sendable (_ uid: UInt32) -> Bool
        /// Called on the event loop with path and body of a POST; must not block.
        let perform: @Sendable (_ path: String, _ body: [UInt8]) -> Answer

        /// Names both.
        public init(
            isAllowed: @escaping @Sendable (_ uid: UInt32) -> Bool,
            perform: @escaping @Sendable (_ path: String, _ body: [UInt8]) -> Answer
        ) {
            self.isAllowed = isAllowed
            self.perform = perform
        }
    }

    /// Connections served at the same time; further ones wait in the kernel's queue.
    public static let maximumConnections = 16
    /// Bytes of a request, headers included; a longer one is cut off.
    public static let maximumRequestBytes = 16 << 10
    /// Seconds after which a connection is closed, whatever it does.
    public static let deadlineSeconds: Int64 = 5

    private let channel: any Channel
    private let path: String?

    /// Listens on a socket that everybody may connect to (mode 0666), replacing one that a dead daemon left.
    ///
    /// - Parameters:
    ///   - changes: what a POST may do; nil for nothing.
    ///   - respond: called on the event loop with the path of a GET; must not block.
    /// - Throws: ``LinuxError`` when the directory cannot be written or another daemon is listening.
    public static func start(
        path: String, group: any EventLoopGroup, changes: Changes? = nil,
        respond: @escaping @Sendable (String) -> Answer
    ) async throws -> LocalServer {
        try await removeStaleSocket(path)
        let channel = try await bootstrap(group, changes, respond).bind(unixDomainSocketPath: path).get()
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
        let channel = try await bootstrap(group, nil, onlyLocalNames: isLoopback, respond)
            .serverChannelOption(reuse, value: 1).bind(host: host, port: port).get()
        return LocalServer(channel: channel, path: nil)
    }

    /// The port that was bound, for port 0; nil for a socket.
    public var port: Int? { channel.localAddress?.port }

    private static func bootstrap(
        _ group: any EventLoopGroup, _ changes: Changes?, onlyLocalNames: Bool = false,
        _ respond: @escaping @Sendable (String) -> Answer
    ) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            // One at a time, so that the limit is exact.
            .serverChannelOption(.maxMessagesPerRead, value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ConnectionLimit(maximumConnections))
                }
            }
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try configure(channel, changes, onlyLocalNames: onlyLocalNames, respond)
                }
            }
    }

    /// Prepares a connection: HTTP, one answer, a deadline.
    ///
    /// - Parameter onlyLocalNames: whether the Host header must be `localhost` or an address.
    static func configure(
        _ channel: any Channel, _ changes: Changes? = nil, onlyLocalNames: Bool = false,
        _ respond: @escaping @Sendable (String) -> Answer
    ) throws {
        try channel.pipeline.syncOperations.addHandler(SizeLimit(maximumRequestBytes))
        try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
        try channel.pipeline.syncOperations.addHandler(RequestHandler(changes, onlyLocalNames: onlyLocalNames, respond))
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
