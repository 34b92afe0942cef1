import Glibc
import LinuxKit

/// Thins out progress that is redrawn in place: "10 %\r20 %\r...\n" becomes at most one state a second, and the last one.
///
/// Lines may be of any length: what does not end for long is passed on in pieces.
struct ProgressFilter {
    /// Nanoseconds between two states that are kept.
    static let pause: UInt64 = 1_000_000_000
    /// A line is held back for at most so many bytes.
    static let longest = 64 << 10

    private var line: [UInt8] = []
    private var endsInReturn = false
    private var lastKept: UInt64?

    private static let carriageReturn = UInt8(ascii: "\r")
    private static let newline = UInt8(ascii: "\n")

    /// What of the output goes into the log at a moment of a monotonic clock in nanoseconds.
    mutating func pass(_ bytes: some Sequence<UInt8>, at now: UInt64) -> [UInt8] {
        var kept: [UInt8] = []
        for byte in bytes {
            if endsInReturn && byte != Self.newline {
                // The line is drawn again: its old state counts only if none did for a second.
                endsInReturn = false
                if lastKept.map({ now - min(now, $0) >= Self.pause }) ?? true {
                    kept += line
                    lastKept = now
                }
                line.removeAll(keepingCapacity: true)
            }
            line.append(byte)
            switch byte {
            case Self.carriageReturn: endsInReturn = true
            case Self.newline:
                endsInReturn = false
                kept += line
                line.removeAll(keepingCapacity: true)
            default:
                if line.count >= Self.longest { kept += take() }
            }
        }
        // Text without an end is a prompt or the beginning of a line: it is shown as soon as it comes.
        if !endsInReturn { kept += take() }
        return kept
    }

    /// What is still held back at the end.
    mutating func finish() -> [UInt8] { take() }

    private mutating func take() -> [UInt8] {
        defer { line.removeAll(keepingCapacity: true) }
        return line
    }
}

/// A log of two files, `LOG` and before it `LOG.1`: together never larger than the limit.
struct RotatingLog: ~Copyable {
    /// The newer file; the older one has `.1` behind its name.
    let path: String
    private let half: Int
    private let owner: UInt32?
    private var file: Descriptor
    private var size = 0
    private var lost = 0

    /// Opens the log, empty.
    ///
    /// - Parameters:
    ///   - limit: bytes that both files may hold.
    ///   - owner: who may read it besides root; nil leaves it to the caller's user.
    init(_ path: String, limit: Int, owner: UInt32?) throws(LinuxError) {
        self.path = path
        self.owner = owner
        half = max(limit / 2, 1)
        unlink(path + ".1")
        file = try Self.make(path, owner)
    }

    private static func make(_ path: String, _ owner: UInt32?) throws(LinuxError) -> Descriptor {
        unlink(path)
        let file = try Descriptor(
            opening: path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        if let owner { _ = fchown(file.number, owner, UInt32.max) }
        return file
    }

    /// Writes; a full disk loses output, never the script. What was lost is said when there is room again.
    mutating func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        if lost > 0 {
            let notice = Array("\n[packet-agent: \(lost) bytes of output are lost: the disk was full]\n".utf8)
            if put(notice[...]) == notice.count { lost = 0 }
        }
        while !rest.isEmpty {
            if size >= half { rotate() }
            let piece = rest.prefix(max(half - size, 1))
            let written = put(piece)
            rest = rest.dropFirst(written)
            if written < piece.count {
                lost += rest.count
                return
            }
        }
    }

    /// Says without writing that something came: who watches for signs of life looks at the time of the file.
    func touch() { futimens(file.number, nil) }

    private mutating func put(_ bytes: ArraySlice<UInt8>) -> Int {
        var written = 0
        while written < bytes.count {
            let rest = bytes.dropFirst(written)
            let count = rest.withUnsafeBytes { Glibc.write(file.number, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { break }
            written += count
        }
        size += written
        return written
    }

    private mutating func rotate() {
        guard rename(path, path + ".1") == 0, let next = try? Self.make(path, owner) else {
            // Goes on in the same file rather than lose the end, which is what people look for.
            _ = ftruncate(file.number, 0)
            size = 0
            return
        }
        file = next
        size = 0
    }
}
