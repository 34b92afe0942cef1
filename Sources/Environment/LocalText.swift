import Glibc
import LinuxKit

/// Small local files that others write too.
enum LocalText {
    /// The contents; nil when they cannot be read or are no regular file (reading a fifo would block).
    static func read(_ path: String, limit: Int = 16 << 20) -> [UInt8]? {
        guard (try? FileStatus(path, mode: .follow))?.kind == .regular else { return nil }
        return try? LocalFile.read(path, limit: limit)
    }

    /// Whether the path exists, links followed.
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// A text without our block.
    static func othersBytes(_ contents: [UInt8]?) -> [UInt8] {
        contents.flatMap { MarkedBlock.remove(from: $0) ?? $0 } ?? []
    }

    /// The lines of a text without our block, which is judged by itself.
    static func othersLines(_ contents: [UInt8]?) -> [String] {
        String(decoding: othersBytes(contents), as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            .map(String.init)
    }
}
