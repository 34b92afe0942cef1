import CLinux
import Glibc
public import LinuxKit
import Synchronization

/// Walks the files below a directory without leaving its mount, on a few threads of its own.
///
/// The boundary is the mount id, not the device: a bind mount of the same file system is another mount, and on overlayfs
/// files of one mount have several devices. Only for file systems that this kernel answers alone.
public struct TreeWalk: Sendable {
    /// A regular file or symbolic link.
    public struct Entry: Sendable, Equatable {
        /// Its path, seen from ``TreeWalk/diskRoot``.
        public let path: BytePath
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
    }

    /// What makes a file the same under several names.
    public struct Identity: Sendable, Hashable {
        /// Device, major in the upper half.
        public let device: UInt64
        /// Inode number.
        public let inode: UInt64
    }

    /// How a walk went.
    public struct Summary: Sendable, Equatable {
        /// Files and links seen, whether they were reported or not.
        public var files = 0
        /// Directories that could not be read.
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

    /// Describes a walk.
    public init(
        diskRoot: BytePath = .root, threads: Int = 2, limit: Int = 2_000_000, deadline: ContinuousClock.Instant? = nil,
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.diskRoot = diskRoot
        self.threads = max(1, threads)
        self.limit = limit
        self.deadline = deadline
        self.isCancelled = isCancelled
    }

    /// Walks one directory and blocks until the end.
    ///
    /// - Parameters:
    ///   - start: an absolute path.
    ///   - since: only entries whose inode changed at this time or later are reported; nil reports all.
    ///   - skip: true for a directory that is left out with everything below it.
    /// - Returns: the entries by path, and how the walk went. A file that vanishes meanwhile is nothing.
    public func entries(
        below start: BytePath, since: FileStatus.Time? = nil,
        skip: @escaping @Sendable (BytePath) -> Bool = { _ in false }
    ) -> (entries: [Entry], summary: Summary) {
        var status = clinux_status()
        guard onDisk(start).withCString({ clinux_statx(AT_FDCWD, $0, Self.flags, Self.mask, &status) }) == 0 else {
            return ([], Summary(files: 0, unreadable: [start], isComplete: false))
        }
        let run = Run(walk: self, start: start, boundary: Boundary(status), since: since, skip: skip)
        Parallel.run(threads, name: "walk") { _ in run.work() }
        return run.result()
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

/// One walk in progress, shared by its threads.
private final class Run: Sendable {
    private struct State {
        var queue: [BytePath]
        /// Directories queued or being read; zero ends the walk.
        var pending: Int
        var isStopped = false
        var entries: [TreeWalk.Entry] = []
        var summary = TreeWalk.Summary()
    }

    private let walk: TreeWalk
    private let boundary: TreeWalk.Boundary
    private let since: FileStatus.Time?
    private let skip: @Sendable (BytePath) -> Bool
    private let state: Mutex<State>
    private let ready: Semaphore

    init(
        walk: TreeWalk, start: BytePath, boundary: TreeWalk.Boundary, since: FileStatus.Time?,
        skip: @escaping @Sendable (BytePath) -> Bool
    ) {
        self.walk = walk
        self.boundary = boundary
        self.since = since
        self.skip = skip
        state = Mutex(State(queue: [start], pending: 1))
        ready = Semaphore()
        ready.post()
    }

    func work() {
        while true {
            ready.wait()
            guard let directory = state.withLock({ $0.queue.popLast() }) else { return }
            let stop = walk.isCancelled() || walk.deadline.map { ContinuousClock.now >= $0 } == true
            if stop {
                state.withLock {
                    $0.isStopped = true
                    $0.summary.isComplete = false
                }
            }
            var found = Found()
            if !stop { read(directory, into: &found) }
            let (added, isDone) = state.withLock { state in
                state.summary.files += found.files
                state.summary.unreadable += found.unreadable
                if state.entries.count + found.entries.count > walk.limit {
                    state.isStopped = true
                    state.summary.isComplete = false
                } else {
                    state.entries += found.entries
                }
                if state.isStopped {
                    state.pending -= state.queue.count
                    state.queue.removeAll()
                    found.directories.removeAll()
                }
                state.queue += found.directories
                state.pending += found.directories.count - 1
                return (found.directories.count, state.pending == 0)
            }
            for _ in 0..<(isDone ? walk.threads : added) { ready.post() }
        }
    }

    func result() -> (entries: [TreeWalk.Entry], summary: TreeWalk.Summary) {
        var (entries, summary) = state.withLock { ($0.entries, $0.summary) }
        entries.sort { $0.path < $1.path }
        summary.unreadable.sort()
        return (entries, summary)
    }

    private struct Found {
        var directories: [BytePath] = []
        var entries: [TreeWalk.Entry] = []
        var files = 0
        var unreadable: [BytePath] = []
    }

    private func read(_ directory: BytePath, into found: inout Found) {
        let number = walk.onDisk(directory).withCString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) }
        guard number >= 0, let stream = fdopendir(number) else {
            let code = errno
            if number >= 0 { close(number) }
            if code != ENOENT { found.unreadable.append(directory) }
            return
        }
        defer { closedir(stream) }
        var status = clinux_status()
        // The path may have been replaced by a link or mount since its name was read.
        guard clinux_statx(number, "", Int32(CLINUX_AT_EMPTY_PATH) | TreeWalk.flags, TreeWalk.mask, &status) == 0,
            TreeWalk.Boundary(status) == boundary
        else { return }
        DirectoryReader.forEach(in: stream) { name, _ in
            guard clinux_statx(number, name, TreeWalk.flags, TreeWalk.mask, &status) == 0 else { return }
            let kind = status.mode & UInt32(S_IFMT)
            let isDirectory = kind == UInt32(S_IFDIR)
            guard isDirectory || kind == UInt32(S_IFREG) || kind == UInt32(S_IFLNK) else { return }
            guard TreeWalk.Boundary(status) == boundary else { return }
            if !isDirectory {
                found.files += 1
                let changed = FileStatus.Time(seconds: status.ctime_seconds, nanoseconds: status.ctime_nanoseconds)
                if let since, changed < since { return }
                found.entries.append(entry(path(directory, name), status, changed, isLink: kind == UInt32(S_IFLNK)))
            } else {
                let path = path(directory, name)
                if !skip(path) { found.directories.append(path) }
            }
        }
    }

    private func path(_ directory: BytePath, _ name: UnsafePointer<CChar>) -> BytePath {
        directory.appending(UnsafeBufferPointer(start: name, count: strlen(name)).lazy.map { UInt8(bitPattern: $0) })
    }

    private func entry(
        _ path: BytePath, _ status: clinux_status, _ changed: FileStatus.Time, isLink: Bool
    ) -> TreeWalk.Entry {
        TreeWalk.Entry(
            path: path, isLink: isLink, size: status.size, allocatedBytes: status.blocks * 512, links: status.nlink,
            identity: .init(
                device: UInt64(status.device_major) << 32 | UInt64(status.device_minor), inode: status.inode),
            changed: changed)
    }
}

/// A counting semaphore (sem_overview(7)).
// @unchecked: the pointer never changes, sem_post and sem_wait are thread-safe, and deinit runs when nobody uses it.
private final class Semaphore: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func post() { sem_post(semaphore) }

    func wait() { while sem_wait(semaphore) != 0 && errno == EINTR {} }
}
