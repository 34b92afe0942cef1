import Glibc

/// Replaces files so that a reader sees the old or the new contents, and a crash leaves one of both.
///
/// Keeps owner, group, permissions and extended attributes (access control lists too) of a file that exists; resolves
/// nothing: a symbolic link at the path is refused, because replacing it would cut a link that the user made (see the
/// decision on files the user owns). Other names of the same file (hard links) keep the old contents: callers that must not
/// part them look at ``FileStatus/links`` first.
public enum AtomicFile {
    /// When a file was last read and written, to be given to new contents.
    public struct Times: Sendable, Equatable {
        /// Last access.
        public let accessed: FileStatus.Time
        /// Last change of the contents.
        public let modified: FileStatus.Time

        /// Names both times.
        public init(accessed: FileStatus.Time, modified: FileStatus.Time) {
            self.accessed = accessed
            self.modified = modified
        }
    }

    /// Writes `contents` to `path`: temporary file in the same directory, fsync, rename, fsync of the directory.
    ///
    /// - Parameters:
    ///   - mode: permissions of a file that did not exist.
    ///   - times: the new file's times; nil for now.
    ///   - temporary: the temporary file's name, of which a rest is overwritten: for callers that hold a lock, so that a
    ///     killed one leaves at most one. Nil makes up a new one each time.
    /// - Throws: ``LinuxError``; `ELOOP` when the path is a symbolic link. The old file is then untouched.
    public static func write(
        _ contents: some Collection<UInt8>, to path: String, mode: UInt32 = 0o644, times: Times? = nil,
        temporary: String? = nil
    ) throws(LinuxError) {
        let existing = try? FileStatus(path)
        if existing?.kind == .symbolicLink { throw LinuxError("replace", path, code: ELOOP) }
        if let existing, existing.kind != .regular { throw LinuxError("replace", path, code: EINVAL) }
        let directory = parent(of: path)
        let name =
            temporary
            ?? ".\(path.split(separator: "/").last ?? "file").\(getpid()).\(UInt32.random(in: .min ... .max)).tmp"
        let new = "\(directory)/\(name)"
        do throws(LinuxError) {
            if temporary != nil { unlink(new) }
            let file = try Descriptor(opening: new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            try file.writeAll(contents)
            if let existing {
                guard fchown(file.number, existing.uid, existing.gid) == 0 else {
                    throw LinuxError("set owner of", new, code: errno)
                }
                // After the owner, whose change takes capabilities away.
                let old = try Descriptor(opening: path, O_RDONLY | O_NOFOLLOW)
                try ExtendedAttributes.add(try ExtendedAttributes.read(descriptor: old.number), descriptor: file.number)
            }
            // Without setuid and setgid: what was read as data must not become a program of somebody else.
            guard fchmod(file.number, (existing?.permissions ?? mode) & 0o1777) == 0 else {
                throw LinuxError("set mode of", new, code: errno)
            }
            if let times { try set(times, descriptor: file.number) }
            try file.sync()
            guard rename(new, path) == 0 else { throw LinuxError("rename to", path, code: errno) }
            try syncDirectory(directory)
        } catch {
            unlink(new)
            throw LinuxError("write", path, code: error.code)
        }
    }

    /// Sets both times of an open file (futimens(3)).
    public static func set(_ times: Times, descriptor: Int32) throws(LinuxError) {
        let values = [times.accessed, times.modified].map {
            timespec(tv_sec: Int($0.seconds), tv_nsec: Int($0.nanoseconds))
        }
        guard futimens(descriptor, values) == 0 else {
            throw LinuxError("set times of", "descriptor \(descriptor)", code: errno)
        }
    }

    /// Makes creations, renames and removals in a directory durable.
    public static func syncDirectory(_ path: String) throws(LinuxError) {
        try Descriptor(opening: path, O_RDONLY | O_DIRECTORY).sync()
    }

    /// Creates a directory and its missing parents with `mode`; one that exists is left as it is.
    public static func createDirectory(_ path: String, mode: UInt32 = 0o755) throws(LinuxError) {
        if mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, parent(of: path) != path else { throw LinuxError("create directory", path, code: errno) }
        try createDirectory(parent(of: path), mode: mode)
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw LinuxError("create directory", path, code: errno) }
    }

    /// The directory of a path: what is before its last slash.
    public static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
