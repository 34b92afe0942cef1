import Glibc
import LinuxKit
import Storage

/// Removes trees that this room made, or whose contents are known to be on the volume.
enum Removal {
    /// Removes a file or a tree of ours, whatever is in it; one that is not there is removed already.
    static func tree(_ name: FileName, in directory: Int32, path: BytePath) throws(TransferError) {
        if unlinkat(directory, name, 0) == 0 || errno == ENOENT { return }
        guard errno == EISDIR || errno == EPERM else { throw .system("remove", path, errno) }
        let opened = try Opening.directory(directory, [name], path: path, flags: O_RDONLY)
        _ = fchmod(opened.number, 0o700)
        for child in try Opening.names(opened.number, path: path) {
            try tree(child, in: opened.number, path: path.appending(child))
        }
        guard unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT else {
            throw .system("remove", path, errno)
        }
    }

    /// Removes a source tree, but only what is as it was looked at: what somebody changed or added stays.
    ///
    /// - Parameters:
    ///   - mayRemove: asked for a file that differs from what is known; true when its contents are on the volume.
    /// - Returns: what was left, at most ten names.
    static func known(
        _ tree: SourceTree, in base: Int32, run: CopyRun, mayRemove: (SourceTree.Entry, TreeCopy.Place) -> Bool
    )
        throws(TransferError) -> [BytePath]
    {
        var left: [BytePath] = []
        func keep(_ path: BytePath) { if left.count < 10 { left.append(path) } }
        for index in tree.directories.indices.reversed() {
            let directory = tree.directories[index]
            let path = tree.path(index)
            let opened = try Opening.directory(base, tree.chain(index), path: path)
            for (position, entry) in directory.entries.enumerated() {
                run.options.step(.remove, path.appending(entry.name))
                guard mayRemove(entry, .init(directory: index, entry: position)), isUnchanged(entry, in: opened.number)
                else {
                    keep(path.appending(entry.name))
                    continue
                }
                guard unlinkat(opened.number, entry.name, 0) == 0 || errno == ENOENT else {
                    throw .system("remove", path.appending(entry.name), errno)
                }
            }
            guard directory.depth > 0, let parent = directory.parent else { continue }
            run.options.step(.remove, path)
            let above = try Opening.directory(base, tree.chain(parent), path: path.parent)
            if unlinkat(above.number, directory.name, AT_REMOVEDIR) == 0 || errno == ENOENT { continue }
            guard errno == ENOTEMPTY || errno == EEXIST else { throw .system("remove", path, errno) }
            keep(path)
        }
        return left
    }

    /// Removing one name of a file changes the inode of the others: their change time does not count.
    private static func isUnchanged(_ entry: SourceTree.Entry, in directory: Int32) -> Bool {
        switch FileStatus.of(name: entry.name, in: directory) {
        case .failure(let error): return error.code == ENOENT
        case .success(let now):
            return now.kind == entry.status.kind && now.inode == entry.status.inode && now.size == entry.status.size
                && now.modified == entry.status.modified
                && (now.changed == entry.status.changed || entry.status.links > 1)
        }
    }
}
