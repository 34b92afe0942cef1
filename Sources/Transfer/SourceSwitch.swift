import AtRisk
import CLinux
import Glibc
import LinuxKit
import Storage

/// Puts a link in the place of a source, and removes the source's data when nothing can be lost by that.
///
/// In `.NAME.packet-move` beside the source stand the journal and `data`: first the link, which then changes places with the
/// source in one step (renameat2(2) with RENAME_EXCHANGE). So there is always something at the source's name, and a killed
/// move is found and finished by the next one.
struct SourceSwitch {
    private static let data: FileName = FileName(name: "data".utf8)

    /// The directory that holds the source, open for reading.
    let parent: Int32
    let parentPath: BytePath
    let name: FileName
    let run: CopyRun

    private var source: BytePath { parentPath.appending(name) }
    private var hidden: FileName { Staging.hiddenName(beside: name) }
    private var hiddenPath: BytePath { parentPath.appending(hidden) }

    /// True when an interrupted move left its directory.
    var wasInterrupted: Bool {
        if case .success(let status) = FileStatus.of(name: hidden, in: parent) {
            status.kind == .directory
        } else {
            false
        }
    }

    private func open() throws(TransferError) -> Descriptor {
        try Opening.directory(parent, [hidden], path: hiddenPath, flags: O_RDONLY)
    }

    private func found(_ name: FileName, in directory: Int32) -> Interruption.Found {
        guard case .success(let status) = FileStatus.of(name: name, in: directory) else { return .nothing }
        return status.kind == .symbolicLink ? .link : .data
    }

    private func readJournal(_ side: Int32) -> Journal? {
        guard let file = try? Opening.file(side, Journal.fileName, O_RDONLY, path: hiddenPath),
            let bytes = try? file.readToEnd(limit: 64 << 10)
        else { return nil }
        return Journal(parsing: bytes)
    }

    private func write(_ journal: Journal, _ side: Int32) throws(TransferError) {
        run.options.step(.writeJournal, hiddenPath)
        try Journal.replace(
            Journal.fileName, with: journal.contents, in: side, path: hiddenPath.appending(Journal.fileName))
    }

    /// Fails early where the directory cannot be replaced by a link: one that belongs to the image cannot be renamed on
    /// overlayfs (EXDEV), and neither can anything whose directory is not writable.
    func probe(isDirectory: Bool) throws(TransferError) {
        let name = FileName(name: hidden.bytes.dropLast(Staging.ending.utf8.count) + Array(".packet-probe".utf8))
        let path = parentPath.appending(name)
        guard mkdirat(parent, name, 0o700) == 0 || errno == EEXIST else {
            throw .system("create directory", path, errno)
        }
        defer { unlinkat(parent, name, AT_REMOVEDIR) }
        guard isDirectory else { return }
        let probe = try Opening.directory(parent, [name], path: path)
        guard mkdirat(probe.number, Self.data, 0o700) == 0 || errno == EEXIST else {
            throw .system("create directory", path, errno)
        }
        defer { unlinkat(probe.number, Self.data, AT_REMOVEDIR) }
        // Over a directory that is not empty nothing is ever renamed; the question is why not.
        if renameat(parent, self.name, parent, name) != 0, errno == EXDEV {
            throw TransferError(
                .refused,
                "\(source) belongs to the container's image and cannot be replaced by a link; move what is in it, or use --copy"
            )
        }
    }

    /// Puts the link in place, looks at the data once more, and removes it.
    ///
    /// - Returns: what stays because somebody changed it, empty in all but strange cases.
    func replace(by destination: BytePath, _ tree: SourceTree) throws(TransferError) -> [BytePath] {
        run.options.step(.makeDirectory, hiddenPath)
        guard mkdirat(parent, hidden, 0o700) == 0 || errno == EEXIST else {
            throw .system("create directory", hiddenPath, errno)
        }
        let side = try open()
        let journal = Journal(phase: .switching, digest: tree.digest(), checked: .now(), destination: destination)
        try write(journal, side.number)
        run.options.step(.prepareLink, hiddenPath)
        guard symlinkat(FileName(name: destination), side.number, Self.data) == 0 else {
            throw .system("make link in", hiddenPath, errno)
        }
        if case .success(let status) = FileStatus.of(name: name, in: parent), geteuid() == 0 {
            fchownat(side.number, Self.data, status.uid, status.gid, AT_SYMLINK_NOFOLLOW)
        }
        try TreeCopy.sync(side.number, path: hiddenPath)
        run.options.step(.exchange, source)
        try exchange(side.number)
        run.options.step(.exchange, hiddenPath)
        return try check(journal, side.number)
    }

    private func exchange(_ side: Int32) throws(TransferError) {
        let exchange: UInt32 = 2
        var result = clinux_renameat2(parent, name, side, Self.data, exchange)
        if result == -EINVAL || result == -ENOSYS {
            // Without the flag there are two steps, and between them the name is missing; the journal tells the next run.
            let target = try linkTarget(side)
            result = unlinkat(side, Self.data, 0) == 0 ? 0 : -errno
            if result == 0 { result = renameat(parent, name, side, Self.data) == 0 ? 0 : -errno }
            if result == 0 {
                run.options.step(.exchange, source)
                result = symlinkat(FileName(name: target), parent, name) == 0 ? 0 : -errno
            }
        }
        guard result == 0 else { throw .system("put a link in place of", source, -result) }
        try TreeCopy.sync(parent, path: parentPath)
        try TreeCopy.sync(side, path: hiddenPath)
    }

    private func linkTarget(_ side: Int32) throws(TransferError) -> BytePath {
        guard let journal = readJournal(side) else {
            throw .system("read", hiddenPath.appending(Journal.fileName), ENOENT)
        }
        return journal.destination
    }

    /// Looks at data that was set aside, and removes it when it is what was copied and nobody writes to it.
    private func check(_ journal: Journal, _ side: Int32) throws(TransferError) -> [BytePath] {
        let now = FileStatus.Time.now()
        let tree = try SourceTree(Self.data, in: side, path: hiddenPath)
        let writers = run.options.writers(tree.root)
        guard tree.digest() == journal.digest, writers.isEmpty else {
            // Back to where it was: the newest state is at the source's name again.
            let exchange: UInt32 = 2
            guard found(name, in: parent) == .link, clinux_renameat2(parent, name, side, Self.data, exchange) == 0
            else {
                throw TransferError(
                    .busy,
                    "\(source) changed while it was replaced by a link; its last state is in \(hiddenPath.appending(Self.data))"
                )
            }
            try undo(side)
            throw TransferError(
                .busy,
                "\(source) changed at the last moment\(writers.first.map { " (\($0.command), process \($0.pid))" } ?? ""); it is where it was. The copy on the volume is \(journal.destination): remove that and run the command again"
            )
        }
        var removing = journal
        (removing.phase, removing.checked) = (.removing, now)
        try write(removing, side)
        return try remove(removing, tree, side)
    }

    private func remove(_ journal: Journal, _ tree: SourceTree, _ side: Int32) throws(TransferError) -> [BytePath] {
        let left = try Removal.known(tree, in: side, run: run) { entry, place in
            // A name removed earlier changed the inode; so did whoever wrote later.
            let isKnown = entry.status.changed < journal.checked || entry.isLink
            return isKnown || isOnVolume(place, tree, side, journal.destination)
        }
        guard left.isEmpty else { return left }
        run.options.step(.remove, hiddenPath)
        try Removal.tree(hidden, in: parent, path: hiddenPath)
        try TreeCopy.sync(parent, path: parentPath)
        return []
    }

    /// True when the volume has the contents of a file that was set aside.
    private func isOnVolume(_ place: TreeCopy.Place, _ tree: SourceTree, _ side: Int32, _ destination: BytePath) -> Bool
    {
        guard let parent = try? Opening.directory(destination.parent) else { return false }
        let target = Destination(
            parent: parent.number, parentPath: destination.parent, name: FileName(name: destination.lastComponent),
            run: run)
        return (try? target.holds(place, of: tree, source: side)) ?? false
    }

    private func undo(_ side: Int32) throws(TransferError) {
        run.options.step(.remove, hiddenPath)
        if found(Self.data, in: side) == .link { unlinkat(side, Self.data, 0) }
        try Removal.tree(hidden, in: parent, path: hiddenPath)
        try TreeCopy.sync(parent, path: parentPath)
    }

    /// Finishes or takes back an interrupted move.
    ///
    /// - Returns: where the source is when it was moved; nil when the source is where it was.
    func recover() throws(TransferError) -> (destination: BytePath, left: [BytePath])? {
        guard wasInterrupted else { return nil }
        let side = try open()
        let journal = readJournal(side.number)
        let state = Interruption.state(
            phase: journal?.phase, source: found(name, in: parent), aside: found(Self.data, in: side.number))
        switch (state, journal) {
        case (.none, _), (.undo, _):
            try undo(side.number)
            return nil
        case (.restore, _):
            run.options.step(.exchange, source)
            guard renameat(side.number, Self.data, parent, name) == 0 else { throw .system("put back", source, errno) }
            try undo(side.number)
            return nil
        case (.check, let journal?): return (journal.destination, try check(journal, side.number))
        case (.remove, let journal?):
            guard found(Self.data, in: side.number) == .data else {
                try undo(side.number)
                return (journal.destination, [])
            }
            let tree = try SourceTree(Self.data, in: side.number, path: hiddenPath)
            return (journal.destination, try remove(journal, tree, side.number))
        default:
            throw TransferError(
                .refused,
                "\(hiddenPath) was left by an interrupted move and does not fit what is there now; look at it, and remove it when you do not need it"
            )
        }
    }
}
