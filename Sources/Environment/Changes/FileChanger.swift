import CLinux
import Glibc
import LinuxKit

/// Puts edits into files and takes them out again, through the journal.
///
/// Looking (``plan(_:layer:)``, ``planRemoval(of:)``) changes nothing. Every change is one rename, so that a reader and a
/// crash see the old or the new file. The caller holds the journal's lock.
struct FileChanger {
    /// What would happen to a file.
    enum Plan: Equatable {
        case nothing
        case change(FileChange)
        case left(LeftAlone)
    }

    /// What is at a path.
    private enum Found: Equatable {
        case nothing
        case file([UInt8], FileStatus)
        case link(String)
        case directory(isEmpty: Bool)
        case other
    }

    let journal: ChangeJournal

    // MARK: Looking

    /// What an edit would change.
    func plan(_ edit: FileEdit, layer: String) -> Plan {
        do throws(LinuxError) {
            let path = try resolve(edit)
            let found = try look(path)
            func change(_ old: [UInt8]?, _ new: [UInt8]) -> Plan {
                old == new ? .nothing : .change(FileChange(path: path, layer: layer, old: old, new: new))
            }
            switch (edit.content, found) {
            case (.own(let new), .nothing): return change(nil, new)
            case (.own(let new), .file(let old, _)): return change(old, new)
            case (.block, .file(_, let status)) where status.links > 1,
                (.whole, .file(_, let status)) where status.links > 1:
                return .left(
                    LeftAlone(path, "it has \(status.links) names (hard links), which replacing it would part"))
            case (.block(let body, let position), .nothing):
                return change(nil, MarkedBlock.put(body, into: nil, at: position) ?? [])
            case (.block(let body, let position), .file(let old, _)):
                if let new = MarkedBlock.put(body, into: old, at: position) { return change(old, new) }
                return .left(
                    LeftAlone(path, "the packet-agent block was edited; remove it to get a new one", isProblem: true))
            case (.whole(let new), .nothing): return change(nil, new)
            case (.whole(let new), .file(let old, _)):
                if old == new || isOurs(old, path) { return change(old, new) }
                return .left(LeftAlone(path, "it was made or edited by somebody else"))
            case (.link(let target), .nothing), (.link(let target), .directory(isEmpty: true)):
                return change(nil, Self.shown(link: target))
            case (.link(let target), .link(let old)):
                if old == target || isOurs(Array(old.utf8), path) {
                    return change(Self.shown(link: old), Self.shown(link: target))
                }
                return .left(LeftAlone(path, "it is a link to \(old) already"))
            case (.link, .directory): return .left(LeftAlone(path, "it holds data; packet-agent move takes it along"))
            default: return .left(LeftAlone(path, "it is not a regular file"))
            }
        } catch {
            return .left(Self.left(edit.path, error))
        }
    }

    /// What taking our part out of a path would change.
    ///
    /// - Parameter path: without symbolic links, as in the journal.
    func planRemoval(of path: String, isOwn: Bool = false) -> Plan {
        do throws(LinuxError) {
            let record = journal.record(of: path)
            func change(_ old: [UInt8]?, _ new: [UInt8]?) -> Plan {
                .change(FileChange(path: path, layer: nil, old: old, new: new))
            }
            switch try look(path) {
            case .file(let old, _):
                if isOwn { return change(old, nil) }
                if isOurs(old, path) {
                    return change(old, record?.original.flatMap { $0.isDirectory ? nil : $0.bytes })
                }
                guard let rest = MarkedBlock.remove(from: old) else {
                    return .left(
                        LeftAlone(path, "the packet-agent block was edited; remove it by hand", isProblem: true))
                }
                return rest == old ? .nothing : change(old, rest)
            case .link(let target) where isOurs(Array(target.utf8), path):
                return change(Self.shown(link: target), nil)
            // An empty directory may be one that a killed process had not finished.
            case .nothing where record?.original?.isDirectory == true,
                .directory(isEmpty: true) where record?.original?.isDirectory == true:
                return change(nil, [])
            default: return .nothing
            }
        } catch {
            return .left(Self.left(path, error))
        }
    }

    /// The path that an edit changes: symbolic links resolved within its tree, its own last link excepted.
    func resolve(_ edit: FileEdit) throws(LinuxError) -> String {
        if case .link = edit.content { return try TreePath.resolve(edit.path, in: edit.tree, keepsLast: true) }
        return try TreePath.resolve(edit.path, in: edit.tree)
    }

    // MARK: Changing

    /// Performs what ``plan(_:layer:)`` said.
    func put(_ edit: FileEdit, _ change: FileChange, layer: String) throws(LinuxError) {
        guard let new = change.new else { return }
        let path = change.path
        if case .own = edit.content {
            return try AtomicFile.write(new, to: path, mode: edit.mode, temporary: Self.temporary(path))
        }
        var ours: [UInt8] = new
        if case .link(let target) = edit.content { ours = Array(target.utf8) }
        let isBlock = if case .block = edit.content { true } else { false }
        try record(path, layer: layer, ours: isBlock ? nil : ours)
        try makeDirectories(for: path, owner: edit.owner)
        try HeldDirectory.with(parentOf: path) { (name) throws(LinuxError) in
            if case .link(let target) = edit.content { return try putLink(target, at: name, owner: edit.owner) }
            try AtomicFile.write(new, to: name, mode: edit.mode, temporary: Self.temporary(path))
        }
    }

    /// Performs what ``planRemoval(of:isOwn:)`` said (nil: nothing to change) and forgets the path.
    func takeOut(_ path: String, _ change: FileChange?) throws(LinuxError) {
        let record = journal.record(of: path)
        do throws(LinuxError) {
            try HeldDirectory.with(parentOf: path) { (name) throws(LinuxError) in
                if let change { try takeOut(name, change, record?.original) }
                // A killed write may have left one.
                unlink(AtomicFile.parent(of: name) + "/" + Self.temporary(path))
            }
        } catch {
            // Where the directory is gone, so is our part.
            guard error.code == ENOENT || error.code == ENOTDIR, change?.new == nil else { throw error }
        }
        // Only empty ones go.
        for directory in (record?.directories ?? []).reversed() {
            try? HeldDirectory.with(parentOf: directory) { (name) throws(LinuxError) in
                if rmdir(name) == 0 { try AtomicFile.syncDirectory(AtomicFile.parent(of: name)) }
            }
        }
        if record != nil { try journal.remove(path) }
    }

    private func takeOut(_ path: String, _ change: FileChange, _ original: ChangeRecord.Original?) throws(LinuxError) {
        if let original, original.isDirectory {
            try restoreDirectory(path, original)
        } else if let new = change.new {
            try AtomicFile.write(
                new, to: path, times: try times(path, new, original), temporary: Self.temporary(change.path))
        } else {
            guard unlink(path) == 0 || errno == ENOENT else { throw LinuxError("remove", path, code: errno) }
            try AtomicFile.syncDirectory(AtomicFile.parent(of: path))
        }
    }

    /// Writes back what was there before ``put(_:_:layer:)``; for a change that turned out to be refused by its reader.
    func undo(_ change: FileChange) throws(LinuxError) {
        if let old = change.old {
            try HeldDirectory.with(parentOf: change.path) { (name) throws(LinuxError) in
                let existing = try FileStatus(name)
                try AtomicFile.write(
                    old, to: name, times: .init(accessed: existing.accessed, modified: existing.modified),
                    temporary: Self.temporary(change.path))
            }
        } else if case .change(let removal) = planRemoval(of: change.path) {
            try takeOut(change.path, removal)
        }
    }

    /// Takes the original down unless that was done when the file was without our part.
    private func record(_ path: String, layer: String, ours: [UInt8]?) throws(LinuxError) {
        let found = try look(path)
        let old = journal.record(of: path)
        var original = old?.original
        switch found {
        case .file(let contents, _):
            let isFresh =
                if case .untouched = MarkedBlock.state(in: contents) { false } else { !isOurs(contents, path) }
            if isFresh { original = try Self.original(path, contents) }
        case .directory: original = try Self.original(path, [])
        default: break
        }
        var digests = old?.ours ?? []
        if let ours {
            // The one before stays: a crash may come before the new one is in place.
            digests = (digests.filter { $0 != ChangeJournal.digest(ours) } + [ChangeJournal.digest(ours)]).suffix(2)
        }
        // Also those that were made for another file: the last one to go takes them along.
        let made = journal.records().flatMap(\.directories).filter { path.hasPrefix($0 + "/") }
        let directories = Set(made + missingDirectories(for: path)).sorted { $0.utf8.count < $1.utf8.count }
        let new = ChangeRecord(path: path, layer: layer, original: original, directories: directories, ours: digests)
        if new != old { try journal.write(new) }
    }

    private static func original(_ path: String, _ contents: [UInt8]) throws(LinuxError) -> ChangeRecord.Original {
        try HeldDirectory.with(parentOf: path) { (name) throws(LinuxError) in
            try ChangeRecord.Original(name, contents: contents)
        }
    }

    private func missingDirectories(for path: String) -> [String] {
        var missing: [String] = []
        var directory = AtomicFile.parent(of: path)
        while directory != "/", access(directory, F_OK) != 0, errno == ENOENT {
            missing.insert(directory, at: 0)
            directory = AtomicFile.parent(of: directory)
        }
        return missing
    }

    private func makeDirectories(for path: String, owner: UInt32?) throws(LinuxError) {
        for directory in missingDirectories(for: path) {
            try HeldDirectory.with(parentOf: directory) { (name) throws(LinuxError) in
                guard mkdir(name, 0o755) == 0 else {
                    // Somebody else was quicker: it is his.
                    if errno == EEXIST { return }
                    throw LinuxError("create directory", directory, code: errno)
                }
                if let owner { try give(name, to: owner, .directory) }
                try AtomicFile.syncDirectory(AtomicFile.parent(of: name))
            }
        }
    }

    /// To a user, and the group of the directory that it is in: what was just made, not what somebody put in its place.
    private func give(_ path: String, to owner: UInt32, _ kind: FileStatus.Kind) throws(LinuxError) {
        let group = try FileStatus(AtomicFile.parent(of: path), mode: .follow).gid
        let made = try Descriptor(opening: path, clinux_o_path | O_NOFOLLOW)
        let status = try FileStatus(descriptor: made.number)
        guard status.kind == kind, kind != .directory || Directory.names("/proc/self/fd/\(made.number)").isEmpty else {
            throw LinuxError("set owner of", path, code: EBUSY)
        }
        let result = clinux_chown(made.number, owner, group)
        guard result == 0 else { throw LinuxError("set owner of", path, code: -result) }
    }

    private func putLink(_ target: String, at path: String, owner: UInt32?) throws(LinuxError) {
        let new = AtomicFile.parent(of: path) + "/" + Self.temporary(path)
        unlink(new)
        guard symlink(target, new) == 0 else { throw LinuxError("create link", path, code: errno) }
        do throws(LinuxError) {
            if let owner { try give(new, to: owner, .symbolicLink) }
        } catch {
            unlink(new)
            throw error
        }
        // rename(2) replaces no directory by a link. rmdir(2) fails when somebody put a file in meanwhile.
        if rmdir(path) != 0, errno != ENOENT, errno != ENOTDIR {
            let code = errno
            unlink(new)
            throw LinuxError("replace", path, code: code)
        }
        guard rename(new, path) == 0 else { throw LinuxError("rename to", path, code: errno) }
        try AtomicFile.syncDirectory(AtomicFile.parent(of: path))
    }

    private func restoreDirectory(_ path: String, _ original: ChangeRecord.Original) throws(LinuxError) {
        if (try? FileStatus(path))?.kind == .symbolicLink, unlink(path) != 0 {
            throw LinuxError("remove", path, code: errno)
        }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw LinuxError("create directory", path, code: errno)
        }
        let directory = try Descriptor(opening: path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        guard Directory.names("/proc/self/fd/\(directory.number)").isEmpty else {
            throw LinuxError("restore", path, code: ENOTEMPTY)
        }
        guard fchown(directory.number, original.uid, original.gid) == 0,
            fchmod(directory.number, original.mode) == 0
        else { throw LinuxError("restore", path, code: errno) }
        try AtomicFile.set(original.times, descriptor: directory.number)
        try directory.sync()
        try AtomicFile.syncDirectory(AtomicFile.parent(of: path))
    }

    /// The times of what remains: the original's when it is the original, else those of the user's last edit.
    private func times(_ path: String, _ new: [UInt8], _ original: ChangeRecord.Original?) throws(LinuxError)
        -> AtomicFile.Times
    {
        if let original, original.bytes == new { return original.times }
        let now = try FileStatus(path)
        return AtomicFile.Times(accessed: now.accessed, modified: now.modified)
    }

    private func isOurs(_ bytes: [UInt8], _ path: String) -> Bool {
        guard let ours = journal.record(of: path)?.ours, !ours.isEmpty else { return false }
        return ours.contains(ChangeJournal.digest(bytes))
    }

    private func look(_ path: String) throws(LinuxError) -> Found {
        do throws(LinuxError) {
            return try HeldDirectory.with(parentOf: path) { (name) throws(LinuxError) in
                switch try FileStatus(name).kind {
                case .regular:
                    let file = try LocalFile.readRegular(name)
                    return .file(file.contents, file.status)
                case .symbolicLink: return .link(String(decoding: try LocalFile.linkTarget(name), as: UTF8.self))
                case .directory: return .directory(isEmpty: Directory.names(name).isEmpty)
                default: return .other
                }
            }
        } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return .nothing }
            throw error
        }
    }

    /// What failed, as something that is left.
    static func left(_ path: String, _ error: LinuxError) -> LeftAlone {
        error.code == EXDEV
            ? LeftAlone(path, "it is a symbolic link to somewhere else")
            : LeftAlone(path, error.description, isProblem: true)
    }

    private static func shown(link target: String) -> [UInt8] { Array("link to \(target)\n".utf8) }

    /// One name per path, hidden, and without an ending that a reader of the directory would take.
    private static func temporary(_ path: String) -> String {
        ".\(path.split(separator: "/").last ?? "file").packet-agent.tmp"
    }
}
