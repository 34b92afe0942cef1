import CLinux
import Glibc
import LinuxKit
import Synchronization

/// One ``TreeWalk`` in progress, shared by its threads.
final class TreeWalkRun: Sendable {
    private enum Work {
        /// A directory to read.
        case directory(BytePath)
        /// Names of a directory with many: NUL-terminated, to be looked at.
        case names(OpenDirectory, [UInt8])
    }

    private struct State {
        var queue: [Work]
        /// Work queued or being done; zero ends the walk.
        var pending: Int
        var isStopped = false
        var reported = 0
        var summary = TreeWalk.Summary()
    }

    /// Names above this many are shared with the other threads, so many at a time.
    private static let share = 512

    private let walk: TreeWalk
    private let boundary: TreeWalk.Boundary
    private let since: FileStatus.Time?
    private let skip: @Sendable (BytePath) -> Bool
    private let visit: @Sendable (TreeWalk.Listing) -> Void
    private let state: Mutex<State>
    private let ready = Semaphore()

    init(
        walk: TreeWalk, start: BytePath, boundary: TreeWalk.Boundary, since: FileStatus.Time?,
        skip: @escaping @Sendable (BytePath) -> Bool, visit: @escaping @Sendable (TreeWalk.Listing) -> Void
    ) {
        self.walk = walk
        self.boundary = boundary
        self.since = since
        self.skip = skip
        self.visit = visit
        state = Mutex(State(queue: [.directory(start)], pending: 1))
        ready.post()
    }

    /// Works until nothing is left; run it on every thread.
    func work() {
        while true {
            ready.wait()
            guard let work = state.withLock({ $0.queue.popLast() }) else { return }
            let found: Found
            if isOver {
                stop()
                found = Found(.root)
            } else {
                switch work {
                case .directory(let path): found = read(path)
                case .names(let directory, let names): found = look(at: names, in: directory)
                }
            }
            finish(found)
        }
    }

    func summary() -> TreeWalk.Summary {
        var summary = state.withLock { $0.summary }
        summary.unreadable = Set(summary.unreadable).sorted()
        return summary
    }

    private var isOver: Bool { walk.isCancelled() || walk.deadline.map { ContinuousClock.now >= $0 } == true }

    private func stop() {
        state.withLock {
            $0.isStopped = true
            $0.summary.isComplete = false
        }
    }

    private func finish(_ found: Found) {
        let (isWanted, added) = state.withLock { state in
            state.summary.files += found.seen
            if found.isUnreadable { state.summary.unreadable.append(found.listing.directory) }
            let isWanted = state.reported + found.listing.files.count <= walk.limit
            if isWanted {
                state.reported += found.listing.files.count
            } else {
                state.isStopped = true
                state.summary.isComplete = false
            }
            if state.isStopped {
                state.pending -= state.queue.count
                state.queue.removeAll()
                return (isWanted, 0)
            }
            for directory in found.directories { state.queue.append(.directory(directory)) }
            state.pending += found.directories.count
            return (isWanted, found.directories.count)
        }
        for _ in 0..<added { ready.post() }
        if found.seen > 0 { walk.progress(found.seen) }
        if isWanted, !found.listing.files.isEmpty { visit(found.listing) }
        // Only now is this piece done: the walk must not end before its last visit.
        let isLast = state.withLock { state in
            state.pending -= 1
            return state.pending == 0
        }
        if isLast { for _ in 0..<walk.threads { ready.post() } }
    }

    /// Gives names to whichever thread is free.
    private func hand(_ names: [UInt8], of directory: OpenDirectory) {
        let isTaken = state.withLock { state in
            guard !state.isStopped else { return false }
            state.queue.append(.names(directory, names))
            state.pending += 1
            return true
        }
        if isTaken { ready.post() }
    }

    private struct Found {
        var listing: TreeWalk.Listing
        var directories: [BytePath] = []
        var seen = 0
        var isUnreadable = false

        init(_ directory: BytePath) { listing = TreeWalk.Listing(directory: directory) }
    }

    private func read(_ path: BytePath) -> Found {
        var found = Found(path)
        let number = walk.onDisk(path).withCString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) }
        guard number >= 0, let directory = OpenDirectory(path, owning: number) else {
            // It vanished, or something else took its name.
            if ![ENOENT, ENOTDIR, ELOOP].contains(errno) { found.isUnreadable = true }
            return found
        }
        var status = clinux_status()
        // The path may have been replaced by a link or mount since its name was read.
        guard clinux_statx(number, "", Int32(CLINUX_AT_EMPTY_PATH) | TreeWalk.flags, TreeWalk.mask, &status) == 0,
            TreeWalk.Boundary(status) == boundary
        else { return found }
        var rest: [UInt8] = []
        var (count, held) = (0, 0)
        errno = 0
        DirectoryReader.forEach(in: directory.stream) { name, _ in
            count += 1
            if count <= Self.share {
                look(at: name, in: directory, &status, &found)
            } else {
                rest.append(contentsOf: UnsafeRawBufferPointer(start: name, count: strlen(name) + 1))
                held += 1
                if held == Self.share {
                    hand(rest, of: directory)
                    (rest, held) = ([], 0)
                }
            }
            // readdir(3) tells its own failure by errno alone.
            errno = 0
        }
        if errno != 0 { found.isUnreadable = true }
        if held > 0 { hand(rest, of: directory) }
        return found
    }

    private func look(at names: [UInt8], in directory: OpenDirectory) -> Found {
        var found = Found(directory.path)
        var status = clinux_status()
        names.withUnsafeBufferPointer { names in
            names.withMemoryRebound(to: CChar.self) { names in
                guard var name = names.baseAddress else { return }
                let end = name + names.count
                while name < end {
                    look(at: name, in: directory, &status, &found)
                    name += strlen(name) + 1
                }
            }
        }
        return found
    }

    private func look(
        at name: UnsafePointer<CChar>, in directory: OpenDirectory, _ status: inout clinux_status, _ found: inout Found
    ) {
        let result = clinux_statx(directory.number, name, TreeWalk.flags, TreeWalk.mask, &status)
        guard result == 0 else {
            if result != -ENOENT { found.isUnreadable = true }
            return
        }
        let kind = status.mode & UInt32(S_IFMT)
        let isDirectory = kind == UInt32(S_IFDIR)
        guard isDirectory || kind == UInt32(S_IFREG) || kind == UInt32(S_IFLNK) else { return }
        guard TreeWalk.Boundary(status) == boundary else { return }
        let bytes = UnsafeRawBufferPointer(start: name, count: strlen(name))
        if isDirectory {
            let path = directory.path.appending(bytes)
            if !skip(path) { found.directories.append(path) }
            return
        }
        found.seen += 1
        let changed = FileStatus.Time(seconds: status.ctime_seconds, nanoseconds: status.ctime_nanoseconds)
        if let since, changed < since { return }
        found.listing.names.append(contentsOf: bytes)
        found.listing.names.append(0)
        found.listing.files.append(
            TreeWalk.File(
                isLink: kind == UInt32(S_IFLNK), size: status.size, allocatedBytes: status.blocks * 512,
                links: status.nlink,
                identity: .init(
                    device: UInt64(status.device_major) << 32 | UInt64(status.device_minor), inode: status.inode),
                changed: changed,
                modified: FileStatus.Time(seconds: status.mtime_seconds, nanoseconds: status.mtime_nanoseconds)))
    }
}

/// A directory that stays open until the last thread is done with its names.
// @unchecked: the stream is read by the one thread that opened it; the others use only its descriptor's number, which
// statx(2) takes from any thread, and deinit runs when nobody uses it.
private final class OpenDirectory: @unchecked Sendable {
    let path: BytePath
    let number: Int32
    let stream: OpaquePointer

    /// Takes an open descriptor, which is closed in any case; nil with errno set when it cannot be read as a directory.
    init?(_ path: BytePath, owning number: Int32) {
        guard let stream = fdopendir(number) else {
            let code = errno
            close(number)
            errno = code
            return nil
        }
        self.path = path
        self.number = number
        self.stream = stream
    }

    deinit { closedir(stream) }
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
