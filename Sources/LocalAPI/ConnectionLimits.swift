import Glibc
import NIOCore

/// Accepts only so many connections at a time; further ones wait in the kernel's queue.
final class ConnectionLimit: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = Never

    private let most: Int
    private var open = 0
    private var isReadHeldBack = false

    init(_ most: Int) { self.most = most }

    func read(context: ChannelHandlerContext) {
        guard open < most else {
            isReadHeldBack = true
            return
        }
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        open += 1
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        unwrapInboundIn(data).closeFuture.hop(to: context.eventLoop).whenComplete { _ in
            let (handler, context) = bound.value
            handler.open -= 1
            guard handler.isReadHeldBack else { return }
            handler.isReadHeldBack = false
            context.read()
        }
        context.fireChannelRead(data)
    }
}

/// Closes a connection that sends more bytes than a request may have.
final class SizeLimit: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var left: Int

    init(_ most: Int) { left = most }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        left -= unwrapInboundIn(data).readableBytes
        if left < 0 { context.close(promise: nil) } else { context.fireChannelRead(data) }
    }
}

/// Who is at the other end of a Unix socket, as the kernel noted at connect(2).
enum PeerCredentials {
    /// `struct ucred` (unix(7), SO_PEERCRED); needs _GNU_SOURCE in C.
    private struct Credentials {
        var pid: pid_t = 0
        var uid: uid_t = 0
        var gid: gid_t = 0
    }

    /// The peer's uid, in this process's user namespace; fails for a channel that is no Unix socket.
    static func uid(of channel: any Channel) -> EventLoopFuture<UInt32> {
        guard channel.localAddress?.protocol == .unix, let options = channel as? any SocketOptionProvider else {
            return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
        }
        let credentials: EventLoopFuture<Credentials> = options.unsafeGetSocketOption(
            level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED))
        return credentials.map(\.uid)
    }
}
