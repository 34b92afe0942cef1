import NIOCore
import NIOEmbedded

@testable import LocalAPI

/// Bytes on the local socket, in pieces cut at NULs: at most one whole answer comes, and then the connection is closed.
func localRequest(_ input: [UInt8]) {
    let channel = EmbeddedChannel()
    do {
        try LocalServer.configure(channel) { path in
            require(!path.isEmpty && !path.contains("\n") && !path.contains("\r"), "a path holds a line break")
            return .init(body: Array("{}".utf8))
        }
        try channel.connect(to: .init(unixDomainSocketPath: "/f")).wait()
        for piece in input.split(separator: 0).prefix(64) where channel.isActive {
            try channel.writeInbound(ByteBuffer(bytes: piece))
        }
    } catch {}
    var answer: [UInt8] = []
    while let part = try? channel.readOutbound(as: ByteBuffer.self) { answer += part.readableBytesView }
    if !answer.isEmpty {
        require(answer.starts(with: "HTTP/1.1 ".utf8), "an answer is no HTTP")
        require(answer.count < 4096, "one request is answered several times")
        require(!channel.isActive, "the connection stays open after its answer")
    }
    // The deadline ends what is left, and lets go of the channel.
    channel.embeddedEventLoop.advanceTime(by: .seconds(LocalServer.deadlineSeconds + 1))
    require(!channel.isActive, "a connection outlives its deadline")
    _ = try? channel.finish()
}
