import Glibc
public import LinuxKit

/// Where a path leads, found without touching a file system that may hang.
///
/// The path is followed name by name as the kernel would, with readlink(2) in directories of local file systems only.
/// At the first name inside a network or FUSE mount the rest is taken as it is written, and a child process has to say more.
public struct PathResolution: Sendable, Equatable {
    /// A symbolic link on the way.
    public struct Hop: Sendable, Equatable {
        /// The link.
        public let link: BytePath
        /// What it says, as written.
        public let target: BytePath
    }

    /// The path as it was asked for.
    public let requested: BytePath
    /// The path without symbolic links; where it does not exist, the part that is missing is taken as written.
    public let resolved: BytePath
    /// True, false, or nil when that cannot be told from here.
    public let exists: Bool?
    /// The path itself when it exists, else the nearest directory above it that is known to.
    public let existing: BytePath
    /// The symbolic links on the way, in order.
    public let hops: [Hop]
    /// True when the rest of the path lies inside a mount that may hang, and was not looked at.
    public let isUnexplored: Bool

    /// A path that cannot be followed.
    public enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
        /// More than forty symbolic links, the kernel's own limit (path_resolution(7)): a loop.
        case tooManyLinks(BytePath)
        /// An empty path, or one with a NUL byte.
        case invalid

        /// One sentence.
        public var description: String {
            switch self {
            case .tooManyLinks(let path): "\(path) leads through more than 40 symbolic links: a loop"
            case .invalid: "the path is empty or contains a NUL byte"
            }
        }
    }

    /// Reads a symbolic link: its target, nil when the name is no link, or the error number.
    public typealias LinkReader = @Sendable (BytePath) -> Result<BytePath?, LinuxError>

    /// Which mounts may be looked into.
    public enum Reach: Sendable {
        /// Only those that this kernel answers alone.
        case localOnly
        /// All; for a child process with a deadline.
        case everywhere
    }

    /// Follows a path.
    ///
    /// - Parameters:
    ///   - path: absolute, or relative to `directory`.
    ///   - directory: an absolute path, normally the working directory.
    public init(
        of path: BytePath, relativeTo directory: BytePath, in table: MountTable, reach: Reach = .localOnly,
        readLink: LinkReader = Self.readLink
    ) throws(Failure) {
        guard !path.bytes.isEmpty, !path.bytes.contains(0) else { throw .invalid }
        let start = path.isAbsolute ? path : directory.appending(path.bytes)
        var todo = Array(start.components.reversed())
        var current = BytePath.root
        var hops: [Hop] = []
        var exists: Bool? = true
        var unexplored = false
        var existing = BytePath.root
        while let name = todo.popLast() {
            if name.elementsEqual(".".utf8) { continue }
            if name.elementsEqual("..".utf8) {
                current = current.parent
                continue
            }
            let next = current.appending(name)
            if exists == true { existing = current }
            // No file system of Linux has longer names (NAME_MAX, limits.h), so the path cannot exist.
            if exists == true, name.count > Int(NAME_MAX) { exists = false }
            if exists != true {
                current = next
                continue
            }
            let home = table.owner(of: current)
            let owner = table.owner(of: next)
            if let owner, owner.id != home?.id {
                // The root of a mount is a directory or a file, never a link, and it exists.
                current = next
                continue
            }
            if reach == .localOnly, home.map(FilesystemKind.mayHang) ?? true {
                exists = nil
                unexplored = true
                current = next
                continue
            }
            switch readLink(next) {
            case .success(let target?):
                hops.append(Hop(link: next, target: target))
                guard hops.count <= 40 else { throw .tooManyLinks(path) }
                if target.isAbsolute { current = .root }
                todo += target.components.reversed()
            case .success(nil):
                current = next
            case .failure(let error):
                exists = error.code == ENOENT || error.code == ENOTDIR ? false : nil
                current = next
            }
        }
        requested = path
        resolved = current
        self.exists = exists
        self.existing = exists == true ? current : existing
        self.hops = hops
        isUnexplored = unexplored
    }

    /// Reads a link with readlink(2).
    public static let readLink: LinkReader = { path in
        path.withCString { characters in
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
            let count = readlink(characters, &buffer, buffer.count)
            if count >= 0 { return .success(BytePath(bytes: buffer[0..<count].map { UInt8(bitPattern: $0) })) }
            let code = errno
            return code == EINVAL ? .success(nil) : .failure(LinuxError("read link", path.description, code: code))
        }
    }

    /// The working directory of this process.
    public static func workingDirectory() -> BytePath {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        guard getcwd(&buffer, buffer.count) != nil else { return .root }
        return BytePath(bytes: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) })
    }
}
