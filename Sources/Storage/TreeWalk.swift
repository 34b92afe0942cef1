import CLinux
import Glibc
public import LinuxKit
import Synchronization

/// Walks the files below a directory without leaving its mount, on a few threads of its own.
///
/// The boundary is the mount id, not the device: a bind mount of the same file system is another mount, and on overlayfs
/// files of one mount have several devices. Only for file systems that answer: the threads block in the kernel.
public struct TreeWalk: Sendable {
    /// A regular file or symbolic link.
    public struct Entry: Sendable, Equatable {
        /// Its path, seen from ``TreeWalk/diskRoot``.
        public let path: BytePath
        /// What the file system says of it.
        public let file: File
        /// Last change of the inode.
        public var changed: FileStatus.Time { file.changed }

        /// Names a file.
        public init(path: BytePath, file: File) {
            self.path = path
            self.file = file
        }
    }

    /// What the file system says of a regular file or symbolic link.
    public struct File: Sendable, Equatable {
        /// True for a symbolic link.
        public let isLink: Bool
        /// Apparent size in bytes.
        public let size: UInt64
        /// Bytes allocated (512 times st_blocks).
        public let allocatedBytes: UInt64
        /// Number of names.
        public let links: UInt32
        /// Device and inode number: the same for all names of one file.
        public let identity: Identity
        /// Last change of the inode.
        public let changed: FileStatus.Time
        /// Last change of the contents.
        public let modified: FileStatus.Time
    }

    /// What makes a file the same under several names.
    public struct Identity: Sendable, Hashable {
        /// Device, major in the upper half.
        public let device: UInt64
        /// Inode number.
        public let inode: UInt64
    }

    /// Files of one directory, or of a part of one that has many names.
    public struct Listing: Sendable {
        /// The directory, seen from ``TreeWalk/diskRoot``.
        public let directory: BytePath
        /// The names one after the other, each ended by a NUL.
        public internal(set) var names: [UInt8] = []
        /// What the file system says of them, in the same order.
        public internal(set) var files: [File] = []

        init(directory: BytePath) { self.directory = directory }

        /// A listing of one entry.
        public init(_ entry: Entry) {
            directory = entry.path.parent
            names = entry.path.lastComponent.bytes + [0]
            files = [entry.file]
        }

        /// Calls `body` with each name and file.
        public func forEach(_ body: (ArraySlice<UInt8>, File) -> Void) {
            var start = 0
            for file in files {
                let end = names[start...].firstIndex(of: 0) ?? names.endIndex
                body(names[start..<end], file)
                start = end + 1
            }
        }
    }

    /// How a walk went.
    public struct Summary: Sendable, Equatable {
        /// Files and links seen, whether they were reported or not.
        public var files = 0
        /// Directories that could not be read, wholly or in part.
        public var unreadable: [BytePath] = []
        /// False when the deadline passed, the walk was cancelled, or there were more entries than allowed.
        public var isComplete = true
    }

    /// Put before every path that is opened; `/` except in tests and for other containers.
    public let diskRoot: BytePath
    /// Threads that read directories.
    public let threads: Int
    /// Entries that are reported at most; more end the walk incomplete. Bounds the memory.
    public let limit: Int
    /// When to stop; nil for never.
    public let deadline: ContinuousClock.Instant?
    /// Asked between directories: true stops the walk.
    public let isCancelled: @Sendable () -> Bool
    /// Told on the walk's threads how many more files were looked at.
    public let progress: @Sendable (Int) -> Void

    /// A thread per online processor, 2 to 8: enough where only this kernel is waited for, and the rest is the user's.
    public static let localThreads = max(2, min(8, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
    /// For file systems whose answers travel: the threads wait, they do not compute.
    public static let remoteThreads = 32

    /// How many threads a walk of this mount deserves.
    public static func threads(for mount: Mount) -> Int {
        FilesystemKind.mayHang(mount) ? remoteThreads : localThreads
    }

    /// Describes a walk.
    public init(
        diskRoot: BytePath = .root, threads: Int = Self.localThreads, limit: Int = 2_000_000,
        deadline: ContinuousClock.Instant? = nil, isCancelled: @escaping @Sendable () -> Bool = { false },
        progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        self.diskRoot = diskRoot
        self.threads = max(1, threads)
        self.limit = limit
        self.deadline = deadline
        self.isCancelled = isCancelled
        self.progress = progress
    }

    /// Walks one directory and blocks until the end.
    ///
    /// - Parameters:
    ///   - start: an absolute path.
    ///   - since: only entries whose inode changed at this time or later are reported; nil reports all.
    ///   - skip: true for a directory that is left out with everything below it. Called on the walk's threads.
    ///   - visit: called with files on the walk's threads, in no order; never with an empty listing.
    /// - Returns: how the walk went. A file that vanishes meanwhile is nothing.
    public func visit(
        below start: BytePath, since: FileStatus.Time? = nil,
        skip: @escaping @Sendable (BytePath) -> Bool = { _ in false }, _ visit: @escaping @Sendable (Listing) -> Void
    ) -> Summary {
        var status = clinux_status()
        guard onDisk(start).withCString({ clinux_statx(AT_FDCWD, $0, Self.flags, Self.mask, &status) }) == 0 else {
            return Summary(files: 0, unreadable: [start], isComplete: false)
        }
        let run = TreeWalkRun(
            walk: self, start: start, boundary: Boundary(status), since: since, skip: skip, visit: visit)
        Parallel.run(threads, name: "walk") { _ in run.work() }
        return run.summary()
    }

    /// As ``visit(below:since:skip:_:)``, but gives the entries, sorted by path: for trees that fit into memory.
    public func entries(
        below start: BytePath, since: FileStatus.Time? = nil,
        skip: @escaping @Sendable (BytePath) -> Bool = { _ in false }
    ) -> (entries: [Entry], summary: Summary) {
        let found = Mutex<[Entry]>([])
        let summary = visit(below: start, since: since, skip: skip) { listing in
            var entries: [Entry] = []
            listing.forEach { entries.append(Entry(path: listing.directory.appending($0), file: $1)) }
            found.withLock { $0 += entries }
        }
        return (found.withLock { $0 }.sorted { $0.path < $1.path }, summary)
    }

    static let flags = AT_SYMLINK_NOFOLLOW | Int32(CLINUX_AT_STATX_DONT_SYNC | CLINUX_AT_NO_AUTOMOUNT)
    static let mask = UInt32(CLINUX_STATX_BASIC | CLINUX_STATX_MNT_ID)

    /// The path to open for a path of the walked system.
    public func onDisk(_ path: BytePath) -> BytePath {
        if diskRoot == .root { return path }
        return path == .root ? diskRoot : BytePath(bytes: diskRoot.bytes + path.bytes)
    }

    /// What must not be left: the mount, or before Linux 5.8, which gives no mount id, the device.
    struct Boundary: Equatable, Sendable {
        let mount: UInt64?
        let device: UInt64?

        init(_ status: clinux_status) {
            let hasMount = status.mask & UInt32(CLINUX_STATX_MNT_ID) != 0
            mount = hasMount ? status.mount_id : nil
            device = hasMount ? nil : UInt64(status.device_major) << 32 | UInt64(status.device_minor)
        }
    }
}
