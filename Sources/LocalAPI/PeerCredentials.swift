import Glibc
import NIOCore

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
