import CLinux
import Glibc

/// A directory that is held open while something is done in it, so that nobody who exchanges a name on the way to it for a
/// symbolic link leads the doer elsewhere.
///
/// A link is followed only where nobody but root and the caller could have put it; any other one is refused with `ELOOP`, as
/// systemd does for its own files (`CHASE_SAFE`). Needs /proc, without which everything fails with `ENOENT`.
public struct HeldDirectory: ~Copyable {
    private let descriptor: Descriptor

    /// Another path of this directory, valid while this value lives, whatever becomes of its names.
    public var path: String { "/proc/self/fd/\(descriptor.number)" }

    /// Its descriptor, opened with O_PATH.
    public var number: Int32 { descriptor.number }

    /// Opens the directory at an absolute path.
    ///
    /// - Throws: ``LinuxError``; `ELOOP` for a link that somebody else put on the way, `ENOTDIR` where no directory is.
    public init(_ path: String) throws(LinuxError) {
        var waiting = path.split(separator: "/").map(String.init)
        var above = [try Self.open("/", in: FileStatus.currentDirectory, path)]
        var links = 0
        while !waiting.isEmpty {
            let name = waiting.removeFirst()
            if name == "." { continue }
            if name == ".." {
                if above.count > 1 { _ = above.popLast() }
                continue
            }
            guard let directory = above.last else { break }
            let next = try Self.open(name, in: directory.descriptor.number, path)
            let status = try FileStatus(descriptor: next.descriptor.number)
            guard status.kind == .symbolicLink else {
                guard status.kind == .directory else { throw LinuxError("open directory", path, code: ENOTDIR) }
                above.append(next)
                continue
            }
            links += 1
            let parent = try FileStatus(descriptor: directory.descriptor.number)
            guard links <= 40, Self.isTrusted(status.uid), Self.isClosed(parent) else {
                throw LinuxError("follow a link on the way to", path, code: ELOOP)
            }
            let target = try Self.target(next.descriptor.number, path)
            if target.hasPrefix("/") { above.removeLast(above.count - 1) }
            waiting = target.split(separator: "/").map(String.init) + waiting
        }
        guard let last = above.last else { throw LinuxError("open directory", path, code: ENOENT) }
        let copy = fcntl(last.descriptor.number, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw LinuxError("open directory", path, code: errno) }
        descriptor = Descriptor(owning: copy)
    }

    /// Does something in the directory that holds `path`, under another name of the same file, and tells failures under its own.
    public static func with<R>(parentOf path: String, _ body: (_ path: String) throws(LinuxError) -> R)
        throws(LinuxError)
        -> R
    {
        let name = path.split(separator: "/").last.map(String.init) ?? "."
        let directory = try HeldDirectory(AtomicFile.parent(of: path))
        defer { _ = directory.number }
        do throws(LinuxError) {
            return try body(directory.path + "/" + name)
        } catch {
            throw error.subject.hasPrefix("/proc/self/fd/")
                ? LinuxError(error.operation, path, code: error.code) : error
        }
    }

    private final class Step {
        let descriptor: Descriptor
        init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
    }

    private static func open(_ name: String, in directory: Int32, _ path: String) throws(LinuxError) -> Step {
        let number = clinux_openat(directory, name, clinux_o_path | O_NOFOLLOW, 0)
        guard number >= 0 else { throw LinuxError("open directory", path, code: -number) }
        return Step(Descriptor(owning: number))
    }

    private static func target(_ link: Int32, _ path: String) throws(LinuxError) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        // An empty path means the link itself (readlinkat(2), Linux 2.6.39).
        let count = readlinkat(link, "", &buffer, buffer.count)
        guard count >= 0 else { throw LinuxError("follow a link on the way to", path, code: errno) }
        return String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func isTrusted(_ uid: UInt32) -> Bool { uid == 0 || uid == geteuid() }

    /// Whether nobody else can exchange names: in a sticky directory everybody only his own.
    private static func isClosed(_ directory: FileStatus) -> Bool {
        isTrusted(directory.uid) && (directory.permissions & 0o022 == 0 || directory.permissions & 0o1000 != 0)
    }
}
