import CLinux
import Glibc
import LinuxKit
import Storage
import Synchronization

/// Copies a tree into a staging directory: directories, then files, further names of files, and last what directories are.
///
/// Everything is in place and compared when it ends without an error. It may be run again on what an earlier run left.
struct TreeCopy {
    /// A file of the tree.
    struct Place: Hashable {
        let directory: Int
        let entry: Int
    }

    /// Files that a thread takes at once, all in one directory, which is opened once for them.
    private static let batch = 16

    let tree: SourceTree
    let run: CopyRun
    /// The directory that holds the tree, open.
    let source: Int32
    /// The staging directory, open, and where it is.
    let stage: Int32
    let stagePath: BytePath
    /// What the destination has already.
    let present: Set<Place>
    /// When the first run of this copy began.
    let begun: FileStatus.Time

    /// Copies. False when something changed meanwhile: look again and run again.
    func copy() throws(TransferError) -> Bool {
        let existed = try makeDirectories()
        let plan = plan()
        let changed = Atomic(false)
        try run.each(plan.batches.count) { (index, buffer) throws(TransferError) in
            let batch = plan.batches[index]
            let from = try openSource(batch.directory)
            let to = try openStaged(tree.chain(batch.directory))
            for entry in batch.entries {
                try run.check()
                let place = Place(directory: batch.directory, entry: entry)
                let file = file(place, from.number, to.number)
                if file.entry.isLink, let text = file.entry.target {
                    let text = LinkRule.text(text, in: tree.path(batch.directory), of: tree.root)
                    try file.copyLink(saying: text)
                } else if try needsCopy(file, existed.contains(batch.directory)),
                    case .changed = try file.copy(buffer)
                {
                    changed.store(true, ordering: .relaxed)
                }
            }
        }
        for place in plan.large {
            let from = try openSource(place.directory)
            let to = try openStaged(tree.chain(place.directory))
            let file = file(place, from.number, to.number)
            if try needsCopy(file, existed.contains(place.directory), keepsBegun: true),
                case .changed = try LargeFileCopy(file: file).copy()
            {
                changed.store(true, ordering: .relaxed)
            }
        }
        // Further names need their files.
        if changed.load(ordering: .relaxed) { return false }
        try makeNames(plan.names, existed)
        try finishDirectories()
        return true
    }

    // MARK: What is to be done

    private struct Plan {
        var batches: [(directory: Int, entries: [Int])] = []
        var large: [Place] = []
        /// Further names of a file, and its first.
        var names: [(name: Place, first: Place)] = []
    }

    private func plan() -> Plan {
        var plan = Plan()
        var first: [SourceTree.Inode: Place] = [:]
        for (index, directory) in tree.directories.enumerated() {
            var batch: [Int] = []
            var bytes: UInt64 = 0
            func close() {
                if !batch.isEmpty { plan.batches.append((index, batch)) }
                (batch, bytes) = ([], 0)
            }
            for (position, entry) in directory.entries.enumerated() {
                let place = Place(directory: index, entry: position)
                if present.contains(place) { continue }
                if entry.status.kind == .regular, entry.status.links > 1 {
                    let identity = SourceTree.Inode(device: entry.status.device, inode: entry.status.inode)
                    if let known = first[identity] {
                        plan.names.append((place, known))
                        continue
                    }
                    first[identity] = place
                }
                if !entry.isLink, entry.content.size >= run.options.largeFile, !run.options.isSequential {
                    plan.large.append(place)
                    continue
                }
                batch.append(position)
                bytes += entry.isLink ? 0 : entry.content.size
                if batch.count == Self.batch || bytes >= run.options.largeFile { close() }
            }
            close()
        }
        return plan
    }

    private func file(_ place: Place, _ from: Int32, _ to: Int32) -> FileCopy {
        let entry = tree.directories[place.directory].entries[place.entry]
        return FileCopy(
            run: run, entry: entry, source: from, target: to, path: tree.path(place.directory, entry.name))
    }

    private func openSource(_ index: Int, flags: Int32 = clinux_o_path) throws(TransferError) -> Descriptor {
        try Opening.directory(source, tree.chain(index), path: tree.path(index), flags: flags)
    }

    private func openStaged(_ chain: [FileName], flags: Int32 = clinux_o_path) throws(TransferError) -> Descriptor {
        try Opening.directory(stage, chain, path: chain.reduce(stagePath) { $0.appending($1) }, flags: flags)
    }

    /// False for a file that an interrupted run finished; what it left unfinished is removed, or kept for ``LargeFileCopy``.
    private func needsCopy(_ file: FileCopy, _ existed: Bool, keepsBegun: Bool = false) throws(TransferError) -> Bool {
        guard existed else { return true }
        if file.isFinished(since: begun) {
            run.options.progress(file.entry.content.size, 1)
            return false
        }
        if keepsBegun { return true }
        guard unlinkat(file.target, file.entry.name, 0) == 0 || errno == ENOENT else {
            throw .system("replace", file.path, errno)
        }
        return true
    }

    // MARK: Directories

    /// The directories of each depth, the outermost first.
    private var levels: [[Int]] {
        var result: [[Int]] = []
        for (index, directory) in tree.directories.enumerated() where directory.depth > 0 {
            while result.count < directory.depth { result.append([]) }
            result[directory.depth - 1].append(index)
        }
        return result
    }

    /// Makes the directories, private until they are finished; those that were there already.
    private func makeDirectories() throws(TransferError) -> Set<Int> {
        let existed = Mutex<Set<Int>>([])
        // The staging directory itself may hold the tree's file of an earlier run.
        if !tree.isDirectory { existed.withLock { _ = $0.insert(0) } }
        for level in levels {
            try run.each(level.count) { (position, _) throws(TransferError) in
                let index = level[position]
                let directory = tree.directories[index]
                let parent = try openStaged(directory.parent.map(tree.chain) ?? [])
                run.options.step(.makeDirectory, tree.path(index))
                if mkdirat(parent.number, directory.name, 0o700) == 0 { return }
                guard errno == EEXIST else { throw .system("create directory", tree.path(index), errno) }
                try prune(index, directory, in: parent.number)
                existed.withLock { _ = $0.insert(index) }
            }
        }
        return existed.withLock { $0 }
    }

    /// Removes from a staged directory what the source does not have any more.
    private func prune(_ index: Int, _ directory: SourceTree.Directory, in parent: Int32) throws(TransferError) {
        let path = tree.path(index)
        if case .success(let status) = FileStatus.of(name: directory.name, in: parent), status.kind != .directory {
            guard unlinkat(parent, directory.name, 0) == 0, mkdirat(parent, directory.name, 0o700) == 0 else {
                throw .system("create directory", path, errno)
            }
            return
        }
        let opened = try Opening.directory(parent, [directory.name], path: path, flags: O_RDONLY)
        // An interrupted run may have finished it.
        _ = fchmod(opened.number, 0o700)
        let files = Set(directory.entries.map(\.name))
        let directories = Set(directory.children.map { tree.directories[$0].name })
        for name in try Opening.names(opened.number, path: path) where !directories.contains(name) {
            let isDirectory =
                if case .success(let status) = FileStatus.of(name: name, in: opened.number) {
                    status.kind == .directory
                } else { false }
            if isDirectory || !files.contains(name) {
                try Removal.tree(name, in: opened.number, path: path.appending(name))
            }
        }
    }

    private func finishDirectories() throws(TransferError) {
        for level in levels.reversed() {
            try run.each(level.count) { (position, _) throws(TransferError) in
                let index = level[position]
                guard let status = tree.directories[index].status else { return }
                let path = tree.path(index)
                run.options.step(.finishDirectory, path)
                let from = try openSource(index, flags: O_RDONLY)
                let to = try openStaged(tree.chain(index), flags: O_RDONLY)
                try Attributes(run: run).apply(status, from: from.number, to: to.number, path: path)
                try Self.sync(to.number, path: path)
            }
        }
    }

    /// Makes names durable; some FUSE programs have nothing to do for that and say so.
    static func sync(_ directory: Int32, path: BytePath) throws(TransferError) {
        guard fsync(directory) == 0 || errno == EINVAL || errno == ENOSYS else {
            throw .system("sync directory", path, errno)
        }
    }

    // MARK: Hard links

    private func makeNames(_ names: [(name: Place, first: Place)], _ existed: Set<Int>) throws(TransferError) {
        try run.each(names.count) { (index, buffer) throws(TransferError) in
            let (place, first) = names[index]
            let from = try openSource(place.directory)
            let to = try openStaged(tree.chain(place.directory))
            let file = file(place, from.number, to.number)
            let origin = try openStaged(tree.chain(first.directory))
            let name = tree.directories[first.directory].entries[first.entry].name
            if existed.contains(place.directory) { _ = unlinkat(file.target, file.entry.name, 0) }
            run.options.step(.makeLink, file.path)
            if linkat(origin.number, name, file.target, file.entry.name, 0) == 0 {
                run.options.progress(0, 1)
                return
            }
            guard [EPERM, ENOTSUP, EMLINK, ENOSYS].contains(errno) else { throw .system("link", file.path, errno) }
            run.note(.hardLinks)
            guard case .copied = try file.copy(buffer) else {
                throw TransferError(.busy, "\(file.path) changed while it was copied; run the command again")
            }
        }
    }
}
