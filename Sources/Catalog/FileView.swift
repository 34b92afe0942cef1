import Glibc
import LinuxKit

/// What a tool's rule may ask of the file system.
///
/// Some rules read configuration files or look whether a directory exists. Nothing that lies on a network or FUSE file
/// system may be asked by the daemon's own threads: a view answers "unknown" there.
public protocol FileView: Sendable {
    /// The text of a small file, symbolic links followed; nil when it is not there, cannot be read or is unknown.
    func text(of path: String) -> String?
    /// What is there, symbolic links followed; nil when nothing is there or it is unknown.
    func entry(at path: String) -> FileEntry?
    /// Whether the user may write there.
    func access(to path: String) -> FileAccess
    /// The names in a directory, sorted; empty when there are none or they are unknown.
    func names(in directory: String) -> [String]
}

/// A file or directory as a rule sees it.
public struct FileEntry: Sendable, Equatable {
    /// False for everything that is no directory.
    public var isDirectory: Bool
    /// Permission bits (07777).
    public var permissions: UInt32
    /// Owner.
    public var uid: UInt32
    /// Group.
    public var gid: UInt32

    /// Names an entry.
    public init(isDirectory: Bool = true, permissions: UInt32 = 0o755, uid: UInt32 = 0, gid: UInt32 = 0) {
        self.isDirectory = isDirectory
        self.permissions = permissions
        self.uid = uid
        self.gid = gid
    }
}

/// Whether a user may write to a path.
public enum FileAccess: Sendable, Equatable {
    /// It is there and may be written.
    case writable
    /// It is there and may not be written.
    case notWritable
    /// It is not there.
    case missing
    /// It could not be looked at.
    case unknown
}

/// A view without files: everything is unknown.
public struct NoFiles: FileView {
    /// Makes the view.
    public init() {}
    /// nil.
    public func text(of path: String) -> String? { nil }
    /// nil.
    public func entry(at path: String) -> FileEntry? { nil }
    /// ``FileAccess/unknown``.
    public func access(to path: String) -> FileAccess { .unknown }
    /// Empty.
    public func names(in directory: String) -> [String] { [] }
}

/// The files of this machine as a user sees them.
public struct LocalFiles: FileView {
    private let root: String
    private let uid: UInt32
    private let groups: Set<UInt32>
    private let mayTouch: @Sendable (String) -> Bool

    /// - Parameters:
    ///   - uid: whose permissions count; not set: those of this process.
    ///   - groups: the user's groups. Access control lists are not looked at.
    ///   - root: the root directory, for example `/proc/7/root`.
    ///   - mayTouch: whether an absolute path may be looked at; false for everything on a file system that can hang.
    public init(
        uid: UInt32? = nil, groups: Set<UInt32> = [], root: String = "",
        mayTouch: @escaping @Sendable (String) -> Bool = { _ in true }
    ) {
        self.uid = uid ?? geteuid()
        self.groups = groups
        self.root = root == "/" ? "" : root
        self.mayTouch = mayTouch
    }

    /// The text of a file of at most 1 MiB; a larger one, a device or a pipe is not read.
    public func text(of path: String) -> String? {
        guard mayTouch(path), let status = try? FileStatus(root + path, mode: .follow), status.kind == .regular,
            status.size <= 1 << 20
        else { return nil }
        return try? LocalFile.readText(root + path, limit: 1 << 20)
    }

    /// The status of a path (statx(2)).
    public func entry(at path: String) -> FileEntry? {
        guard mayTouch(path), let status = try? FileStatus(root + path, mode: .follow) else { return nil }
        return FileEntry(
            isDirectory: status.kind == .directory, permissions: status.permissions, uid: status.uid, gid: status.gid)
    }

    /// access(2) for this process's user; for another one the permission bits of the path and of the directories above it.
    public func access(to path: String) -> FileAccess {
        guard mayTouch(path) else { return .unknown }
        guard let entry = entry(at: path) else { return .missing }
        let allowed = Glibc.access(root + path, W_OK) == 0
        if uid == geteuid() || uid == 0 { return allowed ? .writable : .notWritable }
        // A file system that is mounted read-only stops everybody.
        if !allowed && errno == EROFS { return .notWritable }
        var above = Substring(path)
        while let slash = above.lastIndex(of: "/"), slash > above.startIndex {
            above = above[..<slash]
            // What the user cannot reach is not there for it.
            guard let directory = self.entry(at: String(above)), permits(directory, 0o1) else { return .missing }
        }
        return permits(entry, 0o2) ? .writable : .notWritable
    }

    /// The names in a directory.
    public func names(in directory: String) -> [String] {
        guard mayTouch(directory), let stream = opendir(root + directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    private func permits(_ entry: FileEntry, _ bit: UInt32) -> Bool {
        if entry.uid == uid { return entry.permissions & (bit << 6) != 0 }
        if groups.contains(entry.gid) { return entry.permissions & (bit << 3) != 0 }
        return entry.permissions & bit != 0
    }
}
