import Glibc
public import LinuxKit

/// Reads a log as it grows, over its rotation: `setup logs -f`.
public struct SetupLogFollower {
    private let path: String
    private var inode: UInt64?
    private var offset = 0
    private var rest: [UInt8] = []

    /// Begins at the log's first line, the older file included.
    ///
    /// - Parameter path: ``SetupRunner/logPath``.
    public init(_ path: String) { self.path = path }

    /// The lines that came since the last call, made safe for a terminal.
    ///
    /// - Parameter isLast: also what has no end yet.
    /// - Throws: ``LinuxError`` when the log may not be read.
    public mutating func lines(isLast: Bool = false) throws(LinuxError) -> [String] {
        do throws(LinuxError) {
            let log = try Descriptor(opening: path, O_RDONLY | O_NOFOLLOW)
            let status = try FileStatus(descriptor: log.number)
            if status.inode != inode {
                try readOlder()
                (inode, offset) = (status.inode, 0)
            }
            // Emptied, or another log that got the same number.
            if status.size < offset { offset = 0 }
            try read(log)
        } catch {
            if error.code != ENOENT { throw error }
        }
        let isEnd = { (byte: UInt8) in byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") }
        let end = isLast ? rest.endIndex : (rest.lastIndex(where: isEnd) ?? -1) + 1
        defer { rest.removeFirst(end) }
        return SetupLog.lines(Array(rest[..<end]))
    }

    /// The rest of what was the log until it was rotated; at the first call all of it.
    private mutating func readOlder() throws(LinuxError) {
        do throws(LinuxError) {
            let older = try Descriptor(opening: path + ".1", O_RDONLY | O_NOFOLLOW)
            let found = try FileStatus(descriptor: older.number).inode
            if inode == nil || found == inode { try read(older) }
        } catch {
            if error.code != ENOENT { throw error }
        }
    }

    private mutating func read(_ file: borrowing Descriptor) throws(LinuxError) {
        lseek(file.number, offset, SEEK_SET)
        let bytes = try file.readToEnd()
        offset += bytes.count
        rest += bytes
    }
}
