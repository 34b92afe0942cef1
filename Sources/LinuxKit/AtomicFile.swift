import Glibc

/// Replaces files so that a reader sees the old or the new contents, and a crash leaves one of both.
///
/// Keeps owner, group and permissions of a file that exists; resolves nothing: a symbolic link at the path is refused,
/// because replacing it would cut a link that the user made (see the decision on files the user owns).
public enum AtomicFile {
    /// Writes `contents` to `path`: temporary file in the same directory, fsync, rename, fsync of the directory.
    ///
    /// - Parameter mode: permissions of a file that did not exist.
    /// - Throws: ``LinuxError``; `ELOOP` when the path is a symbolic link. The old file is then untouched.
    public static func write(_ contents: some Collection<UInt8>, to path: String, mode: UInt32 = 0o644)
        throws(LinuxError)
    {
        let existing = try? FileStatus(path)
        if existing?.kind == .symbolicLink { throw LinuxError("replace", path, code: ELOOP) }
        if let existing, existing.kind != .regular { throw LinuxError("replace", path, code: EINVAL) }
        let directory = parent(of: path)
        let temporary =
            "\(directory)/.\(path.split(separator: "/").last ?? "file").\(getpid()).\(UInt32.random(in: .min ... .max)).tmp"
        do throws(LinuxError) {
            let file = try Descriptor(opening: temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            try file.writeAll(contents)
            if let existing {
                guard fchown(file.number, existing.uid, existing.gid) == 0 else {
                    throw LinuxError("set owner of", temporary, code: errno)
                }
            }
            guard fchmod(file.number, existing?.permissions ?? mode) == 0 else {
                throw LinuxError("set mode of", temporary, code: errno)
            }
            try file.sync()
            guard rename(temporary, path) == 0 else { throw LinuxError("rename to", path, code: errno) }
            try syncDirectory(directory)
        } catch {
            unlink(temporary)
            throw LinuxError("write", path, code: error.code)
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

    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
