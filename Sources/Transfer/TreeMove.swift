import AtRisk
import CLinux
import Glibc
import LinuxKit
public import Storage

/// Moves or copies one file or directory to a volume.
///
/// The order is what makes it safe: copy into a directory beside the destination, make it durable, read it back through new
/// descriptors, look at the source again, give the copy its name, put a link in the source's place, look once more at what
/// was set aside, and only then remove it. A run that is killed anywhere is continued or taken back by the next.
public struct TreeMove: Sendable {
    /// What was done.
    public struct Result: Sendable, Equatable {
        /// Bytes of files on the volume, holes included, hard links counted once.
        public var bytes: UInt64 = 0
        /// Files.
        public var files = 0
        /// What a user should know, one sentence each.
        public var notes: [String] = []

        /// Describes what was done.
        public init(bytes: UInt64 = 0, files: Int = 0, notes: [String] = []) {
            self.bytes = bytes
            self.files = files
            self.notes = notes
        }
    }

    /// How often a source that changes is copied again.
    private static let rounds = 3

    /// The file or directory; absolute, without symbolic links.
    public let source: BytePath
    /// Its place on the volume.
    public let destination: BytePath
    /// The volume.
    public let volume: TransferVolume
    /// True to put a link in the source's place, false to leave the source alone.
    public let leavesLink: Bool
    /// True when a destination that exists may be completed: a cache of files that never change.
    public let merges: Bool
    /// What it depends on.
    public let options: TransferOptions

    /// Describes a move.
    public init(
        source: BytePath, destination: BytePath, volume: TransferVolume, leavesLink: Bool = true, merges: Bool = false,
        options: TransferOptions = TransferOptions()
    ) {
        self.source = source
        self.destination = destination
        self.volume = volume
        self.leavesLink = leavesLink
        self.merges = merges
        self.options = options
    }

    /// True when a move of this path was interrupted at the source and should be run again.
    public static func wasInterrupted(at path: BytePath) -> Bool {
        guard let parent = try? Opening.directory(path.parent) else { return false }
        return SourceSwitch(
            parent: parent.number, parentPath: path.parent, name: FileName(name: path.lastComponent),
            run: CopyRun(TransferOptions())
        ).wasInterrupted
    }

    /// Finishes or takes back a move that was interrupted at the source.
    ///
    /// - Returns: what it was, and where it is now; nil when the source is where it was.
    public static func recover(at path: BytePath, options: TransferOptions = TransferOptions()) throws(TransferError)
        -> (
            destination: BytePath, result: Result
        )?
    {
        let parent = try Opening.directory(path.parent)
        let side = SourceSwitch(
            parent: parent.number, parentPath: path.parent, name: FileName(name: path.lastComponent),
            run: CopyRun(options))
        guard let finished = try side.recover() else { return nil }
        var result = Result(notes: ["an interrupted move was finished"] + kept(finished.left))
        if let tree = try? look(at: finished.destination) { (result.bytes, result.files) = (tree.bytes, tree.files) }
        return (finished.destination, result)
    }

    /// What would be moved, looked at without changing anything.
    ///
    /// - Parameter looksAtDestination: true to compare also with what is on the volume already, contents included.
    /// - Throws: what would stop the move.
    public func preview(looksAtDestination: Bool = false) throws(TransferError) -> Result {
        try checkWriters()
        let parent = try Opening.directory(source.parent)
        let tree = try look(parent.number, FileName(name: source.lastComponent))
        if looksAtDestination, let home = try volume.existingDirectory(destination.parent) {
            let place = Destination(
                parent: home.number, parentPath: destination.parent, name: FileName(name: destination.lastComponent),
                run: CopyRun(options))
            let found = try compare(tree, parent.number, place)
            if !found.exists || found.missing != nil, !Staging.exists(beside: place) {
                try volume.checkRoom(for: found.missingBytes(of: tree), home.number)
            }
        }
        return Result(bytes: tree.bytes, files: tree.files, notes: notes(tree))
    }

    /// Moves. Blocks until everything is on the volume.
    public func run() throws(TransferError) -> Result {
        guard destination.bytes.count < Int(PATH_MAX) else {
            throw TransferError(.refused, "\(destination) is too long for a link; give the source a shorter path")
        }
        let run = CopyRun(options)
        let parent = try Opening.directory(source.parent)
        let name = FileName(name: source.lastComponent)
        let side = SourceSwitch(parent: parent.number, parentPath: source.parent, name: name, run: run)
        if side.wasInterrupted {
            guard leavesLink else {
                throw TransferError(.refused, "a move of \(source) was interrupted; run it again without --copy first")
            }
            if let finished = try Self.recover(at: source, options: options) { return finished.result }
        }
        let lock = try lock(parent.number, name)
        return try withExtendedLifetime(lock) { () throws(TransferError) -> Result in
            try move(parent.number, name, side, run)
        }
    }

    private func move(_ parent: Int32, _ name: FileName, _ side: SourceSwitch, _ run: CopyRun) throws(TransferError)
        -> Result
    {
        try checkWriters()
        var tree = try look(parent, name)
        if leavesLink { try side.probe(isDirectory: tree.isDirectory) }
        let home = try volume.directory(destination.parent)
        let place = Destination(
            parent: home.number, parentPath: destination.parent, name: FileName(name: destination.lastComponent),
            run: run)
        var found = try compare(tree, parent, place)
        if !found.exists || found.missing != nil {
            if !Staging.exists(beside: place) { try volume.checkRoom(for: found.missingBytes(of: tree), home.number) }
            let staging = try Staging(of: source, beside: place, now: .now())
            var round = 1
            while true {
                let copy = TreeCopy(
                    tree: tree, run: run, source: parent, stage: staging.tree.number, stagePath: staging.treePath,
                    present: found.present, begun: staging.begun)
                let isComplete = try copy.copy()
                let now = try look(parent, name)
                if isComplete, now.isSame(as: tree) { break }
                guard round < Self.rounds else {
                    throw TransferError(
                        .busy,
                        "\(now.difference(from: tree)) keeps changing; stop what writes it and run the command again")
                }
                round += 1
                tree = now
                found = try compare(tree, parent, place)
            }
            try checkWriters()
            try place.land(tree, found, stage: staging.tree.number)
            try staging.remove(run)
        } else if Staging.exists(beside: place) {
            try Staging(of: source, beside: place, now: .now()).remove(run)
        }
        var result = Result(bytes: tree.bytes, files: tree.files, notes: run.notes + notes(tree))
        guard leavesLink else { return result }
        try checkWriters()
        result.notes += Self.kept(try side.replace(by: destination, tree))
        return result
    }

    // MARK: The source

    private static func look(at path: BytePath) throws(TransferError) -> SourceTree {
        let parent = try Opening.directory(path.parent)
        return try SourceTree(FileName(name: path.lastComponent), in: parent.number, path: path.parent)
    }

    private func look(_ parent: Int32, _ name: FileName) throws(TransferError) -> SourceTree {
        let tree = try SourceTree(name, in: parent, path: source.parent, isCancelled: options.isCancelled)
        if leavesLink, let special = tree.special.first {
            throw TransferError(
                .refused,
                "\(special) is a socket, pipe or device: a program is using this directory; stop it, or use --copy, which leaves such files out"
            )
        }
        // A change right after the last one may carry the same time: clocks of file systems tick every 4 to 10 ms.
        let now = FileStatus.Time.now()
        let tick = FileStatus.Time(
            seconds: now.seconds - (now.nanoseconds < 50_000_000 ? 1 : 0),
            nanoseconds: (now.nanoseconds + 950_000_000) % 1_000_000_000)
        if tree.newest > tick { usleep(50_000) }
        return tree
    }

    /// Keeps a second move of the same source away. The source is local, where flock(2) can be relied on.
    private func lock(_ parent: Int32, _ name: FileName) throws(TransferError) -> Lock {
        let result = clinux_openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0)
        if result == -ELOOP { throw TransferError(.refused, "\(source) is a symbolic link") }
        // A socket cannot be opened, and is refused later.
        if result == -ENXIO { return Lock(nil) }
        guard result >= 0 else { throw .system("open", source, -result) }
        let file = Descriptor(owning: result)
        if flock(file.number, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
            throw TransferError(.busy, "\(source) is being moved already, or locked by a program")
        }
        return Lock(file)
    }

    private final class Lock: Sendable {
        private let file: Descriptor?
        init(_ file: consuming Descriptor?) { self.file = file }
    }

    private func checkWriters() throws(TransferError) {
        let writers = options.writers(source)
        guard let first = writers.first else { return }
        let others = writers.count > 1 ? " and \(writers.count - 1) more" : ""
        throw TransferError(
            .busy,
            "\(first.command) (process \(first.pid))\(others) has \(first.path) open for writing; stop it and run the command again"
        )
    }

    private func compare(_ tree: SourceTree, _ parent: Int32, _ place: Destination) throws(TransferError)
        -> Destination.Found
    {
        let found = try place.compare(tree, source: parent)
        if found.exists, !merges, let missing = found.missing, !place.isEmptyDirectory {
            throw TransferError(
                .conflict,
                "\(destination) is on the volume already and is not a copy of \(source): it has no \(missing); nothing was changed. Rename or remove one of the two and run the command again"
            )
        }
        return found
    }

    // MARK: Words

    private func notes(_ tree: SourceTree) -> [String] {
        var notes: [String] = []
        if !tree.special.isEmpty {
            notes.append("left out: \(tree.special.count) sockets, pipes or devices, such as \(tree.special[0])")
        }
        if tree.linksOut > 0 {
            notes.append(
                "\(tree.linksOut) symbolic links lead out of \(source): they name their targets with absolute paths now, which end with the pod"
            )
        }
        if tree.linksOutside > 0 {
            notes.append(
                "\(tree.linksOutside) further names of its files lie outside of \(source): they are files of their own now"
            )
        }
        return notes
    }

    private static func kept(_ left: [BytePath]) -> [String] {
        guard let first = left.first else { return [] }
        return ["\(first)\(left.count > 1 ? " and others" : "") changed after it was copied and was kept; look at it"]
    }
}
