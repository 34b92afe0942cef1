import Glibc
import Synchronization

/// One flat directory of files whose durability can be reasoned about: what the spool needs from a disk.
///
/// Nothing is durable before ``sync(_:)`` of the file, and a created, renamed or removed name before
/// ``syncDirectory()`` (fsync(2), open(2)). After a failed ``sync(_:)`` the file's later contents are unknown: the kernel
/// may have marked the pages clean, so the caller rewrites what it still needs into a new file.
public protocol DurableDirectory: Sendable {
    /// The names of all files, unordered.
    func list() throws(DiskError) -> [String]
    /// The whole contents of a file.
    func read(_ name: String) throws(DiskError) -> [UInt8]
    /// Appends all bytes at the end of a file, creating it with mode 0600.
    func append(_ bytes: [UInt8], to name: String) throws(DiskError)
    /// Makes a file's contents durable (fdatasync(2)).
    func sync(_ name: String) throws(DiskError)
    /// Makes creations, renames and removals durable.
    func syncDirectory() throws(DiskError)
    /// Cuts a file to `size` bytes.
    func truncate(_ name: String, to size: Int) throws(DiskError)
    /// Replaces `target` by `name` atomically.
    func rename(_ name: String, to target: String) throws(DiskError)
    /// Removes a file; one that does not exist is not an error.
    func remove(_ name: String) throws(DiskError)
}

/// A failed disk operation.
public struct DiskError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was being done: `append`, `sync`, `read`, ...
    public let operation: String
    /// The file, relative to its directory; empty for the directory itself.
    public let name: String
    /// The error number (errno(3)).
    public let code: Int32

    /// Makes an error from an error number.
    public init(operation: String, name: String, code: Int32) {
        self.operation = operation
        self.name = name
        self.code = code
    }

    /// One line for a log.
    public var description: String { "\(operation) \(name): \(String(cString: strerror(code)))" }
}

/// A directory of the local file system.
///
/// Keeps one descriptor per file that was appended to, because `fdatasync` must be called on a descriptor that saw the
/// writes; a descriptor whose sync failed is closed and never synced again.
public final class LocalDirectory: DurableDirectory {
    private let path: String
    private let open: Mutex<[String: Int32]>

    /// Opens a directory, creating it (mode 0700) and its missing parents (mode 0755), each made durable in its parent.
    public init(path: String) throws(DiskError) {
        self.path = path
        self.open = Mutex([:])
        try Self.create(path, mode: 0o700)
    }

    deinit {
        open.withLock { for descriptor in $0.values { close(descriptor) } }
    }

    private static func create(_ path: String, mode: mode_t) throws(DiskError) {
        if mkdir(path, mode) == 0 {
            try sync(directory: parent(of: path))
            return
        }
        if errno == EEXIST { return }
        guard errno == ENOENT, parent(of: path) != path else {
            throw DiskError(operation: "mkdir", name: path, code: errno)
        }
        try create(parent(of: path), mode: 0o755)
        try create(path, mode: mode)
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func sync(directory: String) throws(DiskError) {
        let descriptor = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw DiskError(operation: "open", name: directory, code: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw DiskError(operation: "fsync", name: directory, code: errno) }
    }

    private func full(_ name: String) -> String { path + "/" + name }

    /// The names of all files, unordered.
    public func list() throws(DiskError) -> [String] {
        guard let directory = opendir(path) else { throw DiskError(operation: "list", name: path, code: errno) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// The whole contents of a file.
    public func read(_ name: String) throws(DiskError) -> [UInt8] {
        let descriptor = Glibc.open(full(name), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw DiskError(operation: "open", name: name, code: errno) }
        defer { close(descriptor) }
        var contents: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw DiskError(operation: "read", name: name, code: errno)
            }
            if count == 0 { return contents }
            contents += buffer[0..<count]
        }
    }

    /// Appends all bytes at the end of a file, creating it with mode 0600.
    public func append(_ bytes: [UInt8], to name: String) throws(DiskError) {
        let descriptor = try descriptor(of: name)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                write(descriptor, $0.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw DiskError(operation: "append", name: name, code: errno)
            }
            written += count
        }
    }

    private func descriptor(of name: String) throws(DiskError) -> Int32 {
        if let descriptor = open.withLock({ $0[name] }) { return descriptor }
        let descriptor = Glibc.open(full(name), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw DiskError(operation: "open", name: name, code: errno) }
        open.withLock { $0[name] = descriptor }
        return descriptor
    }

    private func forget(_ name: String) {
        if let descriptor = open.withLock({ $0.removeValue(forKey: name) }) { close(descriptor) }
    }

    /// Makes a file's contents durable.
    public func sync(_ name: String) throws(DiskError) {
        guard fdatasync(try descriptor(of: name)) == 0 else {
            let code = errno
            forget(name)
            throw DiskError(operation: "sync", name: name, code: code)
        }
    }

    /// Makes creations, renames and removals durable.
    public func syncDirectory() throws(DiskError) { try Self.sync(directory: path) }

    /// Cuts a file to `size` bytes.
    public func truncate(_ name: String, to size: Int) throws(DiskError) {
        guard Glibc.truncate(full(name), size) == 0 else {
            throw DiskError(operation: "truncate", name: name, code: errno)
        }
    }

    /// Replaces `target` by `name` atomically.
    public func rename(_ name: String, to target: String) throws(DiskError) {
        guard Glibc.rename(full(name), full(target)) == 0 else {
            throw DiskError(operation: "rename", name: name, code: errno)
        }
        forget(name)
        forget(target)
    }

    /// Removes a file; one that does not exist is not an error.
    public func remove(_ name: String) throws(DiskError) {
        forget(name)
        guard unlink(full(name)) == 0 || errno == ENOENT else {
            throw DiskError(operation: "remove", name: name, code: errno)
        }
    }
}
