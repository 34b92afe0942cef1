import FoundationEssentials
import LinuxKit
import Storage

/// Tells files whose content is the image's although their inode changed (`chown -R`, `touch`, a copy that was put back):
/// the image's own package records say what they must contain.
///
/// Only records that did not change themselves count. They are `RECORD` of Python packages (SHA-256 and size, packaging
/// specification "Recording installed projects"). A file is read only when its size is the recorded one.
struct ImageContent {
    private struct Recorded {
        let digest: ArraySlice<UInt8>
        let size: UInt64
    }

    /// Files up to this size are compared by their digest; larger ones, in which a changed byte that leaves size and time
    /// of modification as they were is no accident, by size and time.
    static let digestLimit: UInt64 = 16 << 20

    private let onDisk: (BytePath) -> BytePath
    private let since: FileStatus.Time
    private let isChanged: (BytePath) -> Bool
    private var sites: [BytePath: [BytePath: Recorded]] = [:]
    /// Bytes that may still be read.
    private var budget: UInt64

    /// - Parameters:
    ///   - since: the birth of the writable layer; contents of the image are older.
    ///   - isChanged: true for a file whose inode changed.
    ///   - budget: bytes to read at most; what is beyond counts as the user's.
    init(
        since: FileStatus.Time, budget: UInt64 = 256 << 20, onDisk: @escaping (BytePath) -> BytePath,
        isChanged: @escaping (BytePath) -> Bool
    ) {
        self.since = since
        self.budget = budget
        self.onDisk = onDisk
        self.isChanged = isChanged
    }

    /// True when the file's content is what the image's records say.
    mutating func covers(_ path: BytePath, in site: BytePath) -> Bool {
        if sites[site] == nil { sites[site] = records(in: site) }
        guard let recorded = sites[site]?[path], let text = onDisk(path).text, let status = try? FileStatus(text),
            status.kind == .regular, status.size == recorded.size
        else { return false }
        if status.size > Self.digestLimit { return status.modified < since }
        guard status.size <= budget, let contents = try? LocalFile.read(text, limit: Int(Self.digestLimit) + 1) else {
            return false
        }
        budget -= status.size
        return Self.base64(SHA256.hash(contents)).elementsEqual(recorded.digest)
    }

    /// `PATH,sha256=DIGEST,SIZE`; the digest in URL-safe base64 without padding. Quoted paths hold commas and are left out.
    private func records(in site: BytePath) -> [BytePath: Recorded] {
        var result: [BytePath: Recorded] = [:]
        for name in DirectoryNames.read(onDisk(site)) where name.suffix(10).elementsEqual(".dist-info".utf8) {
            let path = site.appending(name).appending("RECORD")
            guard !isChanged(path), let text = onDisk(path).text, let contents = try? LocalFile.read(text) else {
                continue
            }
            for line in contents.split(separator: UInt8(ascii: "\n")) {
                let fields = line.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
                guard fields.count == 3, fields[1].starts(with: "sha256=".utf8),
                    let size = UInt64(String(decoding: fields[2].filter { $0 != 0x0d }, as: UTF8.self))
                else { continue }
                result[site.appending(fields[0]).normalized] = Recorded(digest: fields[1].dropFirst(7), size: size)
            }
        }
        return result
    }

    private static func base64(_ bytes: [UInt8]) -> [UInt8] {
        Data(bytes).base64EncodedString().utf8.compactMap { byte in
            switch byte {
            case UInt8(ascii: "+"): UInt8(ascii: "-")
            case UInt8(ascii: "/"): UInt8(ascii: "_")
            case UInt8(ascii: "="): nil
            default: byte
            }
        }
    }
}
