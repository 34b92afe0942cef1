import CLinux
import Glibc

/// A file descriptor with one owner that closes it.
public struct Descriptor: ~Copyable, Sendable {
    /// The number, valid while this value lives.
    public let number: Int32

    /// Takes ownership of an open descriptor.
    public init(owning number: Int32) { self.number = number }

    deinit { close(number) }

    /// Closes and says when that failed: the last moment at which some file systems report a lost write (close(2)).
    public consuming func closeChecked() throws(LinuxError) {
        let number = number
        discard self
        guard close(number) == 0 || errno == EINTR else {
            throw LinuxError("close", "descriptor \(number)", code: errno)
        }
    }

    /// Opens a path close-on-exec (open(2)).
    public init(opening path: String, _ flags: Int32, mode: UInt32 = 0) throws(LinuxError) {
        let result = clinux_open(path, flags, mode)
        guard result >= 0 else { throw LinuxError("open", path, code: -result) }
        self.number = result
    }

    /// Reads until end of file or `limit` bytes.
    public func readToEnd(limit: Int = .max) throws(LinuxError) -> [UInt8] {
        var contents: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while contents.count < limit {
            let count = read(number, &buffer, min(buffer.count, limit - contents.count))
            if count < 0 {
                if errno == EINTR { continue }
                throw LinuxError("read", "descriptor \(number)", code: errno)
            }
            if count == 0 { break }
            contents += buffer[0..<count]
        }
        return contents
    }

    /// Writes all bytes.
    public func writeAll(_ bytes: some Collection<UInt8>) throws(LinuxError) {
        let bytes = Array(bytes)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                write(number, $0.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw LinuxError("write", "descriptor \(number)", code: errno)
            }
            written += count
        }
    }

    /// Makes contents and metadata durable (fsync(2)).
    public func sync() throws(LinuxError) {
        guard fsync(number) == 0 else { throw LinuxError("fsync", "descriptor \(number)", code: errno) }
    }
}

/// Whole-file reads of local files.
public enum LocalFile {
    /// The contents of a local file, at most `limit` bytes (16 MiB unless told). Never call it on a network file system.
    public static func read(_ path: String, limit: Int = 16 << 20) throws(LinuxError) -> [UInt8] {
        let descriptor = try Descriptor(opening: path, O_RDONLY)
        do throws(LinuxError) {
            return try descriptor.readToEnd(limit: limit)
        } catch {
            throw LinuxError("read", path, code: error.code)
        }
    }

    /// The contents and the status of one and the same file, of which nobody can exchange the name in between.
    ///
    /// - Throws: ``LinuxError``; `ELOOP` for a symbolic link, `EINVAL` for what is no regular file. Never waits for a fifo.
    public static func readRegular(_ path: String, limit: Int = 16 << 20) throws(LinuxError)
        -> (contents: [UInt8], status: FileStatus)
    {
        let descriptor = try Descriptor(opening: path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        do throws(LinuxError) {
            let status = try FileStatus(descriptor: descriptor.number)
            guard status.kind == .regular else { throw LinuxError("read", path, code: EINVAL) }
            return (try descriptor.readToEnd(limit: limit), status)
        } catch {
            throw LinuxError("read", path, code: error.code)
        }
    }

    /// The contents as text; bytes that are not UTF-8 are repaired.
    public static func readText(_ path: String, limit: Int = 16 << 20) throws(LinuxError) -> String {
        String(decoding: try read(path, limit: limit), as: UTF8.self)
    }

    /// The target of a symbolic link as bytes (readlink(2)).
    public static func linkTarget(_ path: String) throws(LinuxError) -> [UInt8] {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlink(path, &buffer, buffer.count)
        guard count >= 0 else { throw LinuxError("read link", path, code: errno) }
        return buffer[0..<count].map { UInt8(bitPattern: $0) }
    }
}
