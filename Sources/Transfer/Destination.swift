import CLinux
import Glibc
import LinuxKit
import Storage
import Synchronization

/// The place on the volume where a tree goes, and what is there already.
struct Destination {
    /// What the destination holds of a tree.
    struct Found {
        /// False when nothing has the name.
        var exists = false
        /// Files and links that are there with the same contents.
        var present: Set<TreeCopy.Place> = []
        /// Directories that are there.
        var directories: Set<Int> = []
        /// The first name that is not there.
        var missing: BytePath?

        /// What is still to be written of a tree.
        func missingBytes(of tree: SourceTree) -> UInt64 {
            let there = present.reduce(UInt64(0)) { sum, place in
                let entry = tree.directories[place.directory].entries[place.entry]
                return entry.isLink ? sum : sum + min(entry.content.size, entry.content.allocatedBytes)
            }
            // Two names of one file are two places.
            return tree.allocatedBytes - min(tree.allocatedBytes, there)
        }
    }

    /// The directory that holds it, open, and its path.
    let parent: Int32
    let parentPath: BytePath
    let name: FileName
    let run: CopyRun

    var path: BytePath { parentPath.appending(name) }

    private func chain(_ tree: SourceTree, _ index: Int) -> [FileName] {
        index == 0 ? [] : [name] + tree.chain(index).dropFirst()
    }

    private func path(_ tree: SourceTree, _ index: Int, _ name: FileName) -> BytePath {
        index == 0 ? path : chain(tree, index).reduce(parentPath) { $0.appending($1) }.appending(name)
    }

    /// Compares a tree with what is at the destination, contents included.
    ///
    /// - Parameter source: the directory that holds the tree, open.
    /// - Throws: a conflict when a name is there with something else.
    func compare(_ tree: SourceTree, source: Int32) throws(TransferError) -> Found {
        var found = Found()
        guard case .success(let status) = FileStatus.of(name: name, in: parent) else { return found }
        found.exists = true
        guard (status.kind == .directory) == tree.isDirectory else { throw conflict(path) }
        found.directories = tree.isDirectory ? [0, 1] : [0]
        var files: [TreeCopy.Place] = []
        // Parents stand before children.
        for (index, directory) in tree.directories.enumerated() where found.directories.contains(index) {
            try run.check()
            let opened = try Opening.directory(parent, chain(tree, index), path: path(tree, index, [0]))
            // The only child of the first directory is the tree, which has another name here.
            for child in directory.children where index > 0 {
                let name = tree.directories[child].name
                guard case .success(let status) = FileStatus.of(name: name, in: opened.number) else {
                    found.missing = found.missing ?? path(tree, index, name)
                    continue
                }
                guard status.kind == .directory else { throw conflict(path(tree, index, name)) }
                found.directories.insert(child)
            }
            files += directory.entries.indices.map { TreeCopy.Place(directory: index, entry: $0) }
        }
        let places = files
        let results = Mutex((present: Set<TreeCopy.Place>(), missing: found.missing))
        try run.each(places.count) { (position, buffer) throws(TransferError) in
            let place = places[position]
            let isPresent = try isPresent(place, tree, source, buffer)
            let entry = tree.directories[place.directory].entries[place.entry]
            results.withLock { results in
                if isPresent {
                    results.present.insert(place)
                } else if results.missing == nil {
                    results.missing = path(tree, place.directory, entry.name)
                }
            }
            if isPresent { run.options.progress(entry.isLink ? 0 : entry.content.size, entry.isLink ? 0 : 1) }
        }
        (found.present, found.missing) = results.withLock { ($0.present, $0.missing) }
        return found
    }

    /// True when the destination has one file or link of a tree, with the same contents.
    func holds(_ place: TreeCopy.Place, of tree: SourceTree, source: Int32) throws(TransferError) -> Bool {
        let buffer = FileBlocks.buffer(FileBlocks.size)
        defer { buffer.deallocate() }
        return try isPresent(place, tree, source, buffer)
    }

    /// True when it is a directory with nothing in it.
    var isEmptyDirectory: Bool {
        guard let opened = try? Opening.directory(parent, [name], path: path, flags: O_RDONLY) else { return false }
        return (try? Opening.names(opened.number, path: path).isEmpty) ?? false
    }

    /// True when the destination has a file or link with the same contents; false when nothing has its name.
    private func isPresent(
        _ place: TreeCopy.Place, _ tree: SourceTree, _ source: Int32, _ buffer: UnsafeMutableRawBufferPointer
    ) throws(TransferError) -> Bool {
        let entry = tree.directories[place.directory].entries[place.entry]
        let there = path(tree, place.directory, entry.name)
        let to = try Opening.directory(parent, chain(tree, place.directory), path: there.parent)
        let name = place.directory == 0 ? name : entry.name
        guard case .success(let status) = FileStatus.of(name: name, in: to.number) else { return false }
        if entry.isLink {
            let text = entry.target.map { LinkRule.text($0, in: tree.path(place.directory), of: tree.root) }
            guard status.kind == .symbolicLink, Opening.linkTarget(to.number, name) == text else {
                throw conflict(there)
            }
            return true
        }
        guard status.kind == .regular, status.size == entry.content.size else { throw conflict(there) }
        let from = try Opening.directory(source, tree.chain(place.directory), path: tree.path(place.directory))
        let file = FileCopy(
            run: run, entry: entry, source: from.number, target: to.number,
            path: tree.path(place.directory, entry.name))
        guard let mine = try file.openSource() else {
            throw TransferError(.busy, "\(file.path) is being changed; stop what changes it and run the command again")
        }
        let other = try Opening.file(to.number, name, O_RDONLY, path: there)
        posix_fadvise(other.number, 0, 0, POSIX_FADV_DONTNEED)
        let blocks = FileBlocks(path: there, run: run, isSparse: false, buffer: buffer)
        for start in stride(from: 0, to: entry.content.size, by: FileBlocks.size) {
            let range = start..<min(start + UInt64(FileBlocks.size), entry.content.size)
            let count = Int(range.upperBound - range.lowerBound)
            let block = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<count])
            guard try blocks.read(mine.number, block, at: start) == count else { throw conflict(there) }
            let hash = ContentHash.of(UnsafeRawBufferPointer(block))
            guard try blocks.matches(other.number, range, [hash]) else { throw conflict(there) }
        }
        return true
    }

    private func conflict(_ path: BytePath) -> TransferError {
        TransferError(
            .conflict,
            "\(path) is on the volume already, with other contents; nothing was changed. Rename or remove one of the two and run the command again"
        )
    }

    // MARK: Landing

    /// Gives what was staged its final names. What is there already stays.
    func land(_ tree: SourceTree, _ found: Found, stage: Int32) throws(TransferError) {
        guard found.exists else {
            run.options.step(.land, path)
            try rename(stage, tree.name, parent, name, path)
            return try TreeCopy.sync(parent, path: parentPath)
        }
        for (index, directory) in tree.directories.enumerated() where index > 0 && found.directories.contains(index) {
            let missing =
                directory.entries.indices.filter { !found.present.contains(.init(directory: index, entry: $0)) }
                .map { directory.entries[$0].name }
                + directory.children.filter { !found.directories.contains($0) }.map { tree.directories[$0].name }
            if missing.isEmpty { continue }
            let there = path(tree, index, [0])
            let from = try Opening.directory(stage, tree.chain(index), path: there)
            let to = try Opening.directory(parent, chain(tree, index), path: there, flags: O_RDONLY)
            for name in missing {
                let path = path(tree, index, name)
                run.options.step(.land, path)
                try rename(from.number, name, to.number, name, path)
            }
            try TreeCopy.sync(to.number, path: there)
        }
    }

    private func rename(_ from: Int32, _ old: FileName, _ to: Int32, _ new: FileName, _ path: BytePath)
        throws(TransferError)
    {
        let noReplace: UInt32 = 1
        var result = clinux_renameat2(from, old, to, new, noReplace)
        // NFS and many FUSE programs know no flags: look, and then rename.
        if result == -EINVAL || result == -ENOSYS {
            if case .success = FileStatus.of(name: new, in: to) { throw conflict(path) }
            result = renameat(from, old, to, new) == 0 ? 0 : -errno
        }
        if result == -EEXIST { throw conflict(path) }
        guard result == 0 else { throw .system("rename to", path, -result) }
    }
}
