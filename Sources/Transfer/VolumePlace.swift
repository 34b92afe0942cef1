import CLinux
import Glibc
import LinuxKit
public import Storage

/// A mounted volume that something is copied to.
public struct TransferVolume: Sendable, Equatable {
    /// Where it is mounted.
    public let mountPoint: BytePath
    /// The id of the mount that must be there; nil takes whatever is there.
    public let mountID: UInt64?

    /// Names a volume.
    public init(mountPoint: BytePath, mountID: UInt64? = nil) {
        self.mountPoint = mountPoint
        self.mountID = mountID
    }

    /// Opens a directory on the volume; nil when it is not there yet.
    func existingDirectory(_ path: BytePath) throws(TransferError) -> Descriptor? {
        let root = try open(for: path)
        var chain: [FileName] = []
        for component in path.components.dropFirst(mountPoint.components.count) {
            let parent = try Opening.directory(root.number, chain, path: path)
            let name = FileName(name: component)
            if case .failure(let error) = FileStatus.of(name: name, in: parent.number), error.code == ENOENT {
                return nil
            }
            chain.append(name)
        }
        return try Opening.directory(root.number, chain, path: path, flags: O_RDONLY)
    }

    /// Opens the volume's root, if it is the one that is meant, for something below it.
    private func open(for path: BytePath) throws(TransferError) -> Descriptor {
        let root = try Opening.directory(mountPoint)
        if let mountID, let found = try Self.status(root.number, mountPoint).mountID, found != mountID {
            throw TransferError(.refused, "the volume is not mounted at \(mountPoint) any more; nothing was written")
        }
        guard path.isWithin(mountPoint) else {
            throw TransferError(.refused, "\(path) is not on the volume \(mountPoint)")
        }
        return root
    }

    /// Opens a directory on the volume, made with its missing parents as the volume's root is, so that whoever may write
    /// there may write here. No symbolic link is followed.
    func directory(_ path: BytePath) throws(TransferError) -> Descriptor {
        let root = try open(for: path)
        let status = try Self.status(root.number, mountPoint)
        var chain: [FileName] = []
        for component in path.components.dropFirst(mountPoint.components.count) {
            let parent = try Opening.directory(root.number, chain, path: path)
            let name = FileName(name: component)
            chain.append(name)
            if mkdirat(parent.number, name, 0o700) != 0 {
                guard errno == EEXIST else { throw .system("create directory", path, errno) }
                continue
            }
            let made = try Opening.directory(parent.number, [name], path: path, flags: O_RDONLY)
            // Refused by a server that maps root to nobody, where it is that user's already.
            if geteuid() == 0 { _ = fchown(made.number, status.uid, status.gid) }
            guard fchmod(made.number, status.permissions | 0o700) == 0 else {
                throw .system("set mode of", path, errno)
            }
        }
        return try Opening.directory(root.number, chain, path: path, flags: O_RDONLY)
    }

    /// Fails when the volume certainly has no room. Some volumes show more room than they give: they say so while writing.
    func checkRoom(for bytes: UInt64, _ directory: Int32) throws(TransferError) {
        var status = statvfs()
        guard fstatvfs(directory, &status) == 0, status.f_blocks > 0 else { return }
        let available = UInt64(status.f_bavail) &* UInt64(status.f_frsize)
        if available < bytes {
            throw TransferError(
                .full,
                "the volume \(mountPoint) has room for \(ByteCount.format(available)), and \(ByteCount.format(bytes)) are needed; nothing was copied"
            )
        }
    }

    private static func status(_ descriptor: Int32, _ path: BytePath) throws(TransferError) -> FileStatus {
        do throws(LinuxError) { return try FileStatus(descriptor: descriptor) } catch {
            throw .system("look at", path, error.code)
        }
    }
}
