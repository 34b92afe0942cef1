import CLinux
import Glibc
import LinuxKit
import Storage

/// The directory on the volume in which a copy grows until it is complete: `.NAME.packet-move` beside the destination.
///
/// It stays when a copy is interrupted, and the next run of the same copy goes on with it.
final class Staging {
    static let ending = ".packet-move"
    private static let origin: FileName = FileName(name: "origin".utf8)

    let parent: Int32
    let path: BytePath
    let name: FileName
    /// The directory in it that holds the copy, apart from what is ours.
    let tree: Descriptor
    let treePath: BytePath
    /// When the first run of this copy began.
    let begun: FileStatus.Time

    /// The hidden name beside another; a long one is cut and told from others by its hash.
    static func hiddenName(beside name: FileName) -> FileName {
        let bytes = name.bytes
        let limit = Int(NAME_MAX) - ending.utf8.count - 1
        if bytes.count <= limit { return FileName(name: [0x2e] + bytes + Array(ending.utf8)) }
        let hash = "~" + String(bytes.withUnsafeBytes { ContentHash.of($0) }, radix: 16)
        return FileName(name: [0x2e] + bytes.prefix(limit - 17) + Array(hash.utf8) + Array(ending.utf8))
    }

    /// Makes the directory, or finds the one that an interrupted copy of the same source left.
    init(of source: BytePath, beside destination: Destination, now: FileStatus.Time) throws(TransferError) {
        parent = destination.parent
        name = Self.hiddenName(beside: destination.name)
        path = destination.parentPath.appending(name)
        destination.run.options.step(.makeDirectory, path)
        guard mkdirat(parent, name, 0o700) == 0 || errno == EEXIST else {
            throw .system("create directory", path, errno)
        }
        let directory = try Opening.directory(parent, [name], path: path, flags: O_RDONLY)
        let tree = FileName(name: "tree".utf8)
        treePath = path.appending(tree)
        guard mkdirat(directory.number, tree, 0o700) == 0 || errno == EEXIST else {
            throw .system("create directory", treePath, errno)
        }
        self.tree = try Opening.directory(directory.number, [tree], path: treePath)
        let file = path.appending(Self.origin)
        let header = "packet-agent copy 1"
        if let opened = try? Opening.file(directory.number, Self.origin, O_RDONLY, path: file),
            let bytes = try? opened.readToEnd(limit: 64 << 10)
        {
            let lines = bytes.split(separator: 0x0a, maxSplits: 2, omittingEmptySubsequences: false)
            if lines.count == 3, lines[0].elementsEqual(header.utf8),
                let time = FileStatus.Time(text: String(decoding: lines[1], as: UTF8.self))
            {
                guard lines[2].elementsEqual(source.bytes) else {
                    throw TransferError(
                        .conflict,
                        "\(path) holds an unfinished copy of \(BytePath(bytes: lines[2])); finish that one, or remove the directory"
                    )
                }
                begun = time
                return
            }
        }
        begun = now
        let content = Array("\(header)\n\(now.text)\n".utf8) + source.bytes
        try Journal.replace(Self.origin, with: content, in: directory.number, path: file)
    }

    /// True when an interrupted copy left something beside a destination.
    static func exists(beside destination: Destination) -> Bool {
        if case .success = FileStatus.of(name: hiddenName(beside: destination.name), in: destination.parent) {
            true
        } else {
            false
        }
    }

    /// Removes the directory and what is left in it.
    func remove(_ run: CopyRun) throws(TransferError) {
        run.options.step(.removeStaging, path)
        try Removal.tree(name, in: parent, path: path)
    }
}

extension FileStatus.Time {
    /// Seconds and nanoseconds, with a point between.
    var text: String { "\(seconds).\(nanoseconds)" }

    init?(text: String) {
        let parts = text.split(separator: ".")
        guard parts.count == 2, let seconds = Int64(parts[0]), let nanoseconds = UInt32(parts[1]) else { return nil }
        self.init(seconds: seconds, nanoseconds: nanoseconds)
    }

    /// The time of this machine's clock.
    static func now() -> FileStatus.Time {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return FileStatus.Time(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }
}
