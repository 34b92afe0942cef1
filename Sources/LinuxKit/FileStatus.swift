import CLinux
import Glibc

/// What statx(2) says of a file.
public struct FileStatus: Sendable, Equatable {
    /// The kind of a file (inode(7)).
    public enum Kind: Sendable, Equatable {
        case regular, directory, symbolicLink, characterDevice, blockDevice, fifo, socket, other
    }

    /// A point in time of a file system's clock.
    public struct Time: Sendable, Equatable, Hashable, Comparable {
        /// Seconds since 1970-01-01 UTC.
        public let seconds: Int64
        /// 0 to 999,999,999.
        public let nanoseconds: UInt32

        /// Makes a time.
        public init(seconds: Int64, nanoseconds: UInt32) {
            self.seconds = seconds
            self.nanoseconds = nanoseconds
        }

        /// Order in time.
        public static func < (left: Time, right: Time) -> Bool {
            (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
        }
    }

    /// The kind of the file.
    public let kind: Kind
    /// Permission bits, setuid, setgid and sticky (07777).
    public let permissions: UInt32
    /// Owner.
    public let uid: UInt32
    /// Group.
    public let gid: UInt32
    /// Number of names.
    public let links: UInt32
    /// Inode number, unique only together with ``device``.
    public let inode: UInt64
    /// Device as `major << 32 | minor`. On overlayfs it differs between layers: use ``mountID`` as the boundary.
    public let device: UInt64
    /// Apparent size in bytes.
    public let size: UInt64
    /// Bytes allocated (512 times st_blocks).
    public let allocatedBytes: UInt64
    /// The id of the mount, the first field of mountinfo; nil before Linux 5.8.
    public let mountID: UInt64?
    /// Last access of the contents, as far as the mount keeps it (relatime).
    public let accessed: Time
    /// Last change of the inode.
    public let changed: Time
    /// Last change of the contents.
    public let modified: Time
    /// Creation; nil where the file system does not keep it.
    public let born: Time?

    /// How far a status may go.
    public enum Mode: Sendable {
        /// Follows symbolic links and may ask a server: never for network or FUSE file systems.
        case follow
        /// Does not follow the last symbolic link.
        case noFollow
        /// Takes cached attributes only (AT_STATX_DONT_SYNC, AT_NO_AUTOMOUNT), safe on the root of a dead mount.
        case cached
    }

    /// AT_FDCWD of openat(2): relative paths start at the working directory.
    public static let currentDirectory: Int32 = -100

    /// The status of a path (statx(2)), relative to `directory` when the path is.
    public init(_ path: String, relativeTo directory: Int32 = Self.currentDirectory, mode: Mode = .noFollow)
        throws(LinuxError)
    {
        var raw = clinux_status()
        let flags: Int32 =
            switch mode {
            case .follow: 0
            case .noFollow: AT_SYMLINK_NOFOLLOW
            case .cached: AT_SYMLINK_NOFOLLOW | Int32(CLINUX_AT_STATX_DONT_SYNC | CLINUX_AT_NO_AUTOMOUNT)
            }
        let mask = UInt32(CLINUX_STATX_BASIC | CLINUX_STATX_BTIME | CLINUX_STATX_MNT_ID)
        let result = clinux_statx(directory, path, flags, mask, &raw)
        guard result == 0 else { throw LinuxError("stat", path, code: -result) }
        self.init(raw)
    }

    /// The status of a name of any bytes in an open directory, without following it; the error number when it has none.
    public static func of(name: UnsafePointer<CChar>, in directory: Int32, follow: Bool = false)
        -> Result<FileStatus, LinuxError>
    {
        var raw = clinux_status()
        let mask = UInt32(CLINUX_STATX_BASIC | CLINUX_STATX_BTIME | CLINUX_STATX_MNT_ID)
        let result = clinux_statx(directory, name, follow ? 0 : AT_SYMLINK_NOFOLLOW, mask, &raw)
        if result == 0 { return .success(FileStatus(raw)) }
        let bytes = UnsafeRawBufferPointer(start: name, count: strlen(name))
        return .failure(LinuxError("stat", TerminalText.escape(bytes: bytes), code: -result))
    }

    /// The status of an open descriptor.
    public init(descriptor: Int32) throws(LinuxError) {
        var raw = clinux_status()
        let mask = UInt32(CLINUX_STATX_BASIC | CLINUX_STATX_BTIME | CLINUX_STATX_MNT_ID)
        let result = clinux_statx(descriptor, "", Int32(CLINUX_AT_EMPTY_PATH), mask, &raw)
        guard result == 0 else { throw LinuxError("stat", "descriptor \(descriptor)", code: -result) }
        self.init(raw)
    }

    private init(_ raw: clinux_status) {
        kind =
            switch raw.mode & UInt32(S_IFMT) {
            case UInt32(S_IFREG): .regular
            case UInt32(S_IFDIR): .directory
            case UInt32(S_IFLNK): .symbolicLink
            case UInt32(S_IFCHR): .characterDevice
            case UInt32(S_IFBLK): .blockDevice
            case UInt32(S_IFIFO): .fifo
            case UInt32(S_IFSOCK): .socket
            default: .other
            }
        permissions = raw.mode & 0o7777
        uid = raw.uid
        gid = raw.gid
        links = raw.nlink
        inode = raw.inode
        device = UInt64(raw.device_major) << 32 | UInt64(raw.device_minor)
        size = raw.size
        allocatedBytes = raw.blocks * 512
        mountID = raw.mask & UInt32(CLINUX_STATX_MNT_ID) != 0 ? raw.mount_id : nil
        accessed = Time(seconds: raw.atime_seconds, nanoseconds: raw.atime_nanoseconds)
        changed = Time(seconds: raw.ctime_seconds, nanoseconds: raw.ctime_nanoseconds)
        modified = Time(seconds: raw.mtime_seconds, nanoseconds: raw.mtime_nanoseconds)
        born =
            raw.mask & UInt32(CLINUX_STATX_BTIME) != 0
            ? Time(seconds: raw.btime_seconds, nanoseconds: raw.btime_nanoseconds) : nil
    }
}
