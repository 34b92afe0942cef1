import NIOCore

/// Accepts no further connection while as many as are allowed are open: the others wait in the kernel's queue.
///
/// Stands in the pipeline of the listening channel, where a read accepts.
final class ConnectionLimit: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = Never

    private let limit: Int
    private var open = 0
    private var isReadWanted = false

    init(_ limit: Int) { self.limit = limit }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        open += 1
        let loop = context.eventLoop
        let bound = NIOLoopBound((self, context), eventLoop: loop)
        unwrapInboundIn(data).closeFuture.hop(to: loop).whenComplete { _ in
            let (limit, context) = bound.value
            limit.closed(context)
        }
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        if open < limit { context.read() } else { isReadWanted = true }
    }

    private func closed(_ context: ChannelHandlerContext) {
        open -= 1
        guard isReadWanted, open < limit, context.channel.isActive else { return }
        isReadWanted = false
        context.read()
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
