import CLinux
import Glibc
import LinuxKit
import Storage

/// What a file or directory tree holds at one moment: names, kinds, sizes and times, but no contents.
struct SourceTree: Sendable {
    /// What makes a file the same under several names.
    struct Inode: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    /// A file or link.
    struct Entry: Sendable, Equatable {
        let name: FileName
        /// Of the name itself.
        let status: FileStatus
        /// What a symbolic link says.
        let target: [UInt8]?
        /// Of the file in the store that all repositories of a Hugging Face cache share, which is copied in place of a link.
        let shared: FileStatus?

        var isLink: Bool { target != nil && shared == nil }
        /// Of what is copied.
        var content: FileStatus { shared ?? status }
    }

    struct Directory: Sendable {
        /// Index of the directory above; nil for the first, which stands for the directory that holds the tree.
        let parent: Int?
        let name: FileName
        /// 0 for the first.
        let depth: Int
        /// Nil for the first.
        let status: FileStatus?
        var entries: [Entry] = []
        var children: [Int] = []
    }

    /// The directory that holds the tree, and below it the tree. Parents stand before children.
    private(set) var directories: [Directory]
    /// Where the first directory is.
    let base: BytePath
    /// The name of the tree.
    let name: FileName
    /// Sockets, pipes and devices, which hold no data.
    private(set) var special: [BytePath] = []
    /// Regular files.
    private(set) var files = 0
    /// Their sizes, hard links counted once; holes count.
    private(set) var bytes: UInt64 = 0
    /// What has to be written: their allocated bytes, hard links counted once.
    private(set) var allocatedBytes: UInt64 = 0
    /// Names outside the tree of files in it.
    private(set) var linksOutside = 0
    /// Links that lead out of the tree.
    private(set) var linksOut = 0
    /// The last change of anything.
    private(set) var newest = FileStatus.Time(seconds: 0, nanoseconds: 0)

    /// The tree itself.
    var root: BytePath { base.appending(name) }
    /// True when the tree is a directory.
    var isDirectory: Bool { directories.count > 1 }

    /// The names from the base to a directory.
    func chain(_ index: Int) -> [FileName] {
        var result: [FileName] = []
        var current = index
        while let parent = directories[current].parent {
            result.append(directories[current].name)
            current = parent
        }
        return result.reversed()
    }

    /// The absolute path of a directory.
    func path(_ index: Int) -> BytePath { chain(index).reduce(base) { $0.appending($1) } }

    func path(_ index: Int, _ name: FileName) -> BytePath { path(index).appending(name) }

    /// Looks at a tree.
    ///
    /// - Parameters:
    ///   - base: its directory, open.
    ///   - path: where that is.
    ///   - isCancelled: asked once a directory.
    init(_ name: FileName, in base: Int32, path: BytePath, isCancelled: () -> Bool = { false }) throws(TransferError) {
        self.base = path
        self.name = name
        directories = [Directory(parent: nil, name: [0], depth: 0, status: nil)]
        var links: [SourceTree.Inode: UInt32] = [:]
        let status = try Self.status(name, in: base, path: path.appending(name))
        if status.kind != .directory {
            try add(name, status, to: 0, opened: base, &links)
        } else {
            directories.append(Directory(parent: 0, name: name, depth: 1, status: status))
            directories[0].children = [1]
            var stack = [1]
            while let index = stack.popLast() {
                if isCancelled() { throw .cancelled }
                try read(index, base, device: status.mountID, &links)
                stack += directories[index].children.reversed()
            }
        }
        linksOutside = links.values.reduce(0) { $0 + Int($1) }
    }

    private static func status(_ name: FileName, in directory: Int32, path: @autoclosure () -> BytePath)
        throws(TransferError) -> FileStatus
    {
        switch FileStatus.of(name: name, in: directory) {
        case .success(let status): return status
        case .failure(let error): throw .system("look at", path(), error.code)
        }
    }

    private mutating func read(
        _ index: Int, _ base: Int32, device: UInt64?, _ links: inout [SourceTree.Inode: UInt32]
    ) throws(TransferError) {
        let path = path(index)
        let opened = try Opening.directory(base, chain(index), path: path, flags: O_RDONLY)
        if let status = directories[index].status { newest = max(newest, status.changed) }
        for name in try Opening.names(opened.number, path: path) {
            let status: FileStatus
            switch FileStatus.of(name: name, in: opened.number) {
            case .success(let found): status = found
            // Removed since the directory was read.
            case .failure(let error) where error.code == ENOENT: continue
            case .failure(let error): throw .system("look at", path.appending(name), error.code)
            }
            guard status.kind == .directory else {
                try add(name, status, to: index, opened: opened.number, &links)
                continue
            }
            if let device, let other = status.mountID, device != other {
                throw TransferError(
                    .refused,
                    "\(path.appending(name)) is another file system that is mounted there; unmount it, or move what is beside it"
                )
            }
            directories[index].children.append(directories.count)
            directories.append(
                Directory(parent: index, name: name, depth: directories[index].depth + 1, status: status))
        }
    }

    private mutating func add(
        _ name: FileName, _ status: FileStatus, to index: Int, opened: Int32,
        _ links: inout [SourceTree.Inode: UInt32]
    ) throws(TransferError) {
        newest = max(newest, status.changed)
        var target: [UInt8]?
        var shared: FileStatus?
        switch status.kind {
        case .regular:
            if status.links > 1 {
                let identity = SourceTree.Inode(device: status.device, inode: status.inode)
                let left = links[identity]
                links[identity] = (left ?? status.links) - 1
                count(status, isFirst: left == nil)
            } else {
                count(status, isFirst: true)
            }
        case .symbolicLink:
            guard let text = Opening.linkTarget(opened, name) else {
                throw .system("read link", path(index, name), errno)
            }
            target = text
            if let leadsTo = LinkRule.escape(text, in: path(index), of: root) {
                shared = HubCache.sharedBlob(link: path(index, name), leadsTo: leadsTo, name, opened)
                if let shared { count(shared, isFirst: true) } else { linksOut += 1 }
            }
        default:
            special.append(path(index, name))
            return
        }
        directories[index].entries.append(Entry(name: name, status: status, target: target, shared: shared))
    }

    private mutating func count(_ status: FileStatus, isFirst: Bool) {
        files += 1
        guard isFirst else { return }
        bytes += status.size
        allocatedBytes += min(status.size, status.allocatedBytes)
    }

    /// True when nothing differs from an earlier look: no name, no size, no time.
    func isSame(as earlier: SourceTree) -> Bool {
        digest(withShared: true) == earlier.digest(withShared: true) && special == earlier.special
    }

    /// The first file or directory that differs from an earlier look, for a message.
    func difference(from earlier: SourceTree) -> BytePath {
        func known(_ tree: SourceTree) -> [BytePath: FileStatus] {
            var result: [BytePath: FileStatus] = [:]
            for (index, directory) in tree.directories.enumerated() {
                if let status = directory.status { result[tree.path(index)] = status }
                for entry in directory.entries { result[tree.path(index, entry.name)] = entry.content }
            }
            return result
        }
        let (before, now) = (known(earlier), known(self))
        let differing = Set(before.keys).union(now.keys).filter { before[$0] != now[$0] }
        // A file tells more than the directories around it.
        return differing.max { ($0.bytes.count, $0) < ($1.bytes.count, $1) } ?? root
    }

    /// A hash of everything but what renaming the tree changes: its own name and change time, and where links lead.
    func digest(withShared: Bool = false) -> UInt64 {
        var hash: UInt64 = 0
        func add(_ bytes: [UInt8]) { hash = bytes.withUnsafeBytes { ContentHash.of($0, seed: hash) } }
        for (index, directory) in directories.enumerated() {
            let isTop = directory.depth == 1
            if let status = directory.status {
                add(Self.words(status, isTop: isTop) + (isTop ? [] : directory.name.bytes + [0]))
            }
            add([UInt8(truncatingIfNeeded: directory.parent ?? 0)])
            for entry in directory.entries {
                var bytes = Self.words(entry.status, isTop: index == 0) + (index == 0 ? [] : entry.name.bytes + [0])
                if let target = entry.target { bytes += target }
                if withShared, let shared = entry.shared { bytes += Self.words(shared, isTop: false) }
                add(bytes)
            }
        }
        return hash
    }

    private static func words(_ status: FileStatus, isTop: Bool) -> [UInt8] {
        var values = [
            UInt64(status.permissions) << 32 | UInt64(status.uid), UInt64(status.gid),
            status.kind == .directory ? 0 : status.size,
            UInt64(bitPattern: status.modified.seconds), UInt64(status.modified.nanoseconds),
        ]
        if !isTop {
            // On overlayfs a file that is renamed is copied up first, and may get another number.
            values += [status.inode, UInt64(bitPattern: status.changed.seconds), UInt64(status.changed.nanoseconds)]
        }
        return values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    }
}
