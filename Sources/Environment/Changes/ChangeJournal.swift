import FoundationEssentials
import Glibc
import LinuxKit

/// What was there before the agent changed a file, and what the agent made of it.
struct ChangeRecord: Codable, Sendable, Equatable {
    /// A file or an empty directory as it was.
    struct Original: Codable, Sendable, Equatable {
        /// True for a directory.
        var isDirectory: Bool
        var uid: UInt32
        var gid: UInt32
        /// Permission bits (07777).
        var mode: UInt32
        /// Contents of a file, in base64.
        var contents: String
        /// Extended attributes by name, in base64.
        var attributes: [String: String]
        var accessedSeconds: Int64
        var accessedNanoseconds: UInt32
        var modifiedSeconds: Int64
        var modifiedNanoseconds: UInt32

        var bytes: [UInt8] { Data(base64Encoded: contents).map { Array($0) } ?? [] }

        var times: AtomicFile.Times {
            AtomicFile.Times(
                accessed: .init(seconds: accessedSeconds, nanoseconds: accessedNanoseconds),
                modified: .init(seconds: modifiedSeconds, nanoseconds: modifiedNanoseconds))
        }
    }

    /// Absolute, without symbolic links.
    var path: String
    /// The id of the layer that wanted the change.
    var layer: String
    /// Nil when there was nothing.
    var original: Original?
    /// Directories that were made for it, outermost first.
    var directories: [String]
    /// Digests of what the agent wrote there, the last one last: a whole file, or a link's target.
    var ours: [String]
}

/// The change journal: one durable record per changed file, written before the change.
///
/// A record exists from before the first change until after the last trace of it is gone, so that a crash anywhere leaves
/// either no change or one that is known. Readable by root only: configuration files may hold passwords.
struct ChangeJournal: Sendable {
    /// Where the records are.
    let directory: String

    init(stateDirectory: String) { directory = stateDirectory + "/changes" }

    /// Keeps other processes of ours out while `body` runs: the boot pass, the daemon's child, the command line.
    func locked<Result>(_ body: () throws(LinuxError) -> Result) throws(LinuxError) -> Result {
        try AtomicFile.createDirectory(directory, mode: 0o700)
        let lock = try Descriptor(opening: directory + "/lock", O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
        while flock(lock.number, LOCK_EX) != 0 {
            guard errno == EINTR else { throw LinuxError("lock", directory, code: errno) }
        }
        let result = try body()
        _ = lock.number
        return result
    }

    /// Every record, by path.
    func records() -> [ChangeRecord] {
        Directory.names(directory).filter { $0.hasSuffix(Self.suffix) && !$0.hasPrefix(".") }
            .compactMap { read(directory + "/" + $0) }.sorted { $0.path < $1.path }
    }

    /// The record of a path.
    func record(of path: String) -> ChangeRecord? { read(file(path)) }

    /// Makes a record durable.
    func write(_ record: ChangeRecord) throws(LinuxError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(record) else { throw LinuxError("encode", record.path, code: EINVAL) }
        try AtomicFile.write(Array(data), to: file(record.path), mode: 0o600, temporary: ".record.tmp")
    }

    /// Forgets a path.
    func remove(_ path: String) throws(LinuxError) {
        guard unlink(file(path)) == 0 || errno == ENOENT else { throw LinuxError("remove", file(path), code: errno) }
        try AtomicFile.syncDirectory(directory)
    }

    /// The digest by which our own contents are known again.
    static func digest(_ bytes: [UInt8]) -> String {
        SHA256.hash(bytes).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static let suffix = ".json"

    private func file(_ path: String) -> String {
        "\(directory)/\(Self.digest(Array(path.utf8)).prefix(32))\(Self.suffix)"
    }

    private func read(_ file: String) -> ChangeRecord? {
        guard let bytes = try? LocalFile.read(file, limit: 64 << 20) else { return nil }
        return try? JSONDecoder().decode(ChangeRecord.self, from: Data(bytes))
    }
}

extension ChangeRecord.Original {
    /// Takes down a file or a directory.
    init(_ path: String, contents: [UInt8]) throws(LinuxError) {
        let descriptor = try Descriptor(opening: path, O_RDONLY | O_NOFOLLOW)
        let status = try FileStatus(descriptor: descriptor.number)
        isDirectory = status.kind == .directory
        (uid, gid, mode) = (status.uid, status.gid, status.permissions)
        self.contents = Data(contents).base64EncodedString()
        attributes = try ExtendedAttributes.read(descriptor: descriptor.number).mapValues {
            Data($0).base64EncodedString()
        }
        (accessedSeconds, accessedNanoseconds) = (status.accessed.seconds, status.accessed.nanoseconds)
        (modifiedSeconds, modifiedNanoseconds) = (status.modified.seconds, status.modified.nanoseconds)
    }
}
