import FoundationEssentials
import LinuxKit
import Storage

/// Tells files whose content is the image's although their inode changed (`chown -R`, `touch`, a copy that was put back):
/// the image's own package records say what they must contain.
///
/// Only records whose own content is the image's count. They are `RECORD` of Python packages (SHA-256 and size, packaging
/// specification "Recording installed projects") and the `md5sums` of dpkg (deb-md5sums in dpkg's documentation).
struct ImageContent {
    private struct Recorded {
        let digest: ArraySlice<UInt8>
        let size: UInt64
    }

    /// Files up to this size are compared by their digest; larger ones, in which a changed byte that leaves size and time
    /// of modification as they were is no accident, by size and time.
    static let digestLimit: UInt64 = 16 << 20

    private let onDisk: (BytePath) -> BytePath
    private let isChanged: (BytePath) -> Bool
    private let image: ImagePackages?
    private let since: FileStatus.Time
    /// MD5 in hexadecimal of the files of the distribution's packages; nil until somebody asks.
    private var distribution: [BytePath: ArraySlice<UInt8>]?
    private var sites: [BytePath: [BytePath: Recorded]] = [:]
    /// Bytes that may still be read.
    private var budget: UInt64

    /// - Parameters:
    ///   - since: the birth of the writable layer; contents of the image are older.
    ///   - image: the packages of the image; nil when they are not known.
    ///   - isChanged: true for a file whose inode changed.
    ///   - budget: bytes to read at most; what is beyond counts as the user's.
    init(
        since: FileStatus.Time, image: ImagePackages?, budget: UInt64 = 256 << 20,
        onDisk: @escaping (BytePath) -> BytePath, isChanged: @escaping (BytePath) -> Bool
    ) {
        self.image = image
        self.isChanged = isChanged
        self.since = since
        self.budget = budget
        self.onDisk = onDisk
    }

    /// True when the file is what the image's package records say.
    ///
    /// - Parameter site: the site directory of Python packages that it belongs to, if any.
    mutating func covers(_ path: BytePath, in site: BytePath?) -> Bool {
        guard let status = status(path), status.kind == .regular else { return false }
        if let site, coversPython(path, status, site) { return true }
        guard Self.isSystem(path), status.modified < since else { return false }
        let known = distribution ?? distributionRecords()
        distribution = known
        guard let digest = known[path], let contents = contents(path, status) else { return false }
        return MD5.hexadecimal(contents).elementsEqual(digest)
    }

    /// True where packages of the distribution put files.
    static func isSystem(_ path: BytePath) -> Bool {
        ["/usr", "/etc", "/opt", "/bin", "/sbin", "/lib", "/lib64"].contains { path.isWithin($0) }
    }

    private mutating func coversPython(_ path: BytePath, _ status: FileStatus, _ site: BytePath) -> Bool {
        let known = sites[site] ?? records(in: site)
        sites[site] = known
        // RECORD has no digest of itself.
        if path.lastComponent == "RECORD" { return known[path] != nil && status.modified < since }
        guard let recorded = known[path], status.size == recorded.size else { return false }
        if status.size > Self.digestLimit { return status.modified < since }
        guard let contents = contents(path, status) else { return false }
        return Self.base64(SHA256.hash(contents)).elementsEqual(recorded.digest)
    }

    private func status(_ path: BytePath) -> FileStatus? { onDisk(path).text.flatMap { try? FileStatus($0) } }

    private mutating func contents(_ path: BytePath, _ status: FileStatus) -> [UInt8]? {
        guard status.size <= min(budget, 64 << 20), let text = onDisk(path).text else { return nil }
        budget -= status.size
        return try? LocalFile.read(text, limit: 64 << 20)
    }

    /// The content of a record, if it is the image's: its inode did not change, or it tells of the image's version and was
    /// not written since.
    private func record(_ path: BytePath, isImageVersion: () -> Bool) -> [UInt8]? {
        guard let status = status(path), !isChanged(path) || (status.modified < since && isImageVersion()),
            let text = onDisk(path).text
        else { return nil }
        return try? LocalFile.read(text)
    }

    /// Lines of a digest, two spaces, and the path from the root; on merged-usr systems `lib/x` is really `usr/lib/x`.
    private func distributionRecords() -> [BytePath: ArraySlice<UInt8>] {
        var result: [BytePath: ArraySlice<UInt8>] = [:]
        let info: BytePath = "/var/lib/dpkg/info"
        let now = ImagePackages.distribution(
            onDisk("/var/lib/dpkg/status").text.flatMap { try? LocalFile.read($0) } ?? [])
        for name in DirectoryNames.read(onDisk(info)) where name.suffix(8).elementsEqual(".md5sums".utf8) {
            let package = String(decoding: name.dropLast(8).prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
            let contents = record(info.appending(name)) {
                image?.distribution[package].map { $0 == now[package] } ?? false
            }
            for line in contents?.split(separator: UInt8(ascii: "\n")) ?? [] where line.count > 34 {
                let path = BytePath.root.appending(line.dropFirst(34))
                let isMerged = ["/bin", "/sbin", "/lib", "/lib32", "/lib64"].contains { path.isWithin($0) }
                result[isMerged ? BytePath(bytes: Array("/usr".utf8) + path.bytes) : path] = line.prefix(32)
            }
        }
        return result
    }

    /// `PATH,sha256=DIGEST,SIZE`; the digest in URL-safe base64 without padding. Quoted paths hold commas and are left out.
    private func records(in site: BytePath) -> [BytePath: Recorded] {
        var result: [BytePath: Recorded] = [:]
        for name in DirectoryNames.read(onDisk(site)) where name.suffix(10).elementsEqual(".dist-info".utf8) {
            let path = site.appending(name).appending("RECORD")
            let package = ImagePackages.pythonPackage(String(decoding: name, as: UTF8.self))
            let contents = record(path) {
                guard let package, let text = site.text, let packages = image?.python[text] else { return false }
                return packages[ImagePackages.normalized(package.name)] == package.version
            }
            guard let contents else { continue }
            result[path] = Recorded(digest: [], size: 0)
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
