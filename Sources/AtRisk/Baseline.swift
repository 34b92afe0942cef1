public import LinuxKit
public import Storage

/// What setup, restore and moves put into the writable layer: path and change time of each file. As long as the change time is the
/// same, the file is not the user's work and comes back by itself.
///
/// Nothing in the file system tells setup's files from those that a user wrote meanwhile. So everything is setup's only when
/// nobody else did anything (``BootWitness``); otherwise only what package tools install and caches that fill themselves.
public struct Baseline: Sendable, Equatable {
    /// Change times by path.
    public private(set) var entries: [BytePath: FileStatus.Time]

    /// Takes known entries.
    public init(entries: [BytePath: FileStatus.Time] = [:]) { self.entries = entries }

    static let header = "packet-agent baseline 1"

    /// True when the file is as it was put there.
    public func contains(_ entry: TreeWalk.Entry) -> Bool { entries[entry.path] == entry.changed }

    /// Reads the baseline; empty when there is none. Lines that cannot be read are left out, which reports more, not less.
    public static func load(stateDirectory: String) -> Baseline {
        guard let contents = try? LocalFile.read("\(stateDirectory)/baseline", limit: 1 << 30) else {
            return Baseline()
        }
        return Baseline(parsing: contents)
    }

    /// Writes the baseline to the state directory, durably.
    public func save(stateDirectory: String) throws(LinuxError) {
        try AtomicFile.createDirectory(stateDirectory)
        try AtomicFile.write(contents, to: "\(stateDirectory)/baseline", mode: 0o600)
    }

    /// Adds links that a move left in the place of what is on the volume now.
    public static func record(links: [BytePath], stateDirectory: String) throws(LinuxError) {
        var baseline = load(stateDirectory: stateDirectory)
        for path in links {
            let status = path.withCString { FileStatus.of(name: $0, in: FileStatus.currentDirectory) }
            if case .success(let status) = status, status.kind == .symbolicLink {
                baseline.entries[path] = status.changed
            }
        }
        try baseline.save(stateDirectory: stateDirectory)
    }

    /// Adds what changed in the writable layer within a span, and saves. Packages that are installed then count like the
    /// image's.
    ///
    /// - Parameters:
    ///   - start: taken before setup or restore began (``FirstStart/now()``).
    ///   - end: taken after it ended.
    ///   - isAlone: true when nobody else did anything in that span (``BootWitness``).
    ///   - stateDirectory: where the baseline is kept.
    ///   - walk: how to walk the root mount.
    /// - Returns: the number of files added or renewed.
    @discardableResult
    public static func capture(
        changedBetween start: FileStatus.Time, and end: FileStatus.Time, isAlone: Bool, stateDirectory: String,
        homes: [BytePath] = ["/root"], walk: TreeWalk = TreeWalk()
    ) throws(LinuxError) -> Int {
        var baseline = load(stateDirectory: stateDirectory)
        let own = BytePath(stateDirectory)
        var written = walk.entries(below: .root, since: start) { $0 == own }.entries.filter { $0.changed <= end }
        let image = ImagePackages.load(stateDirectory: stateDirectory)
        if !isAlone { written = installed(written, image: image, homes: homes, walk: walk) }
        for entry in written { baseline.entries[entry.path] = entry.changed }
        try baseline.save(stateDirectory: stateDirectory)
        try ImagePackages.gather(root: walk.diskRoot).save(stateDirectory: stateDirectory)
        return written.count
    }

    /// The files among these that package tools installed, and their caches.
    private static func installed(
        _ entries: [TreeWalk.Entry], image: ImagePackages?, homes: [BytePath], walk: TreeWalk
    ) -> [TreeWalk.Entry] {
        var changed = ChangedFiles()
        for entry in entries { changed.add(TreeWalk.Listing(entry), .container) { _, _ in true } }
        let records = PackageRecords(changed: changed, image: image, onDisk: walk.onDisk)
        let grouping = Grouping(
            changed: changed, known: KnownLocation.defaults(homes: homes), homes: homes, records: records)
        let kinds: Set<AtRiskKind> = [
            .pipPackages, .virtualEnvironment, .conda, .distributionPackages, .pipCache, .compileCache,
        ]
        return entries.filter { entry in
            let name = entry.path.lastComponent.bytes[...]
            return kinds.contains(grouping.key(for: name, in: grouping.context(of: entry.path.parent)).kind)
        }
    }

    /// One line a file: time, space, path with newline and backslash escaped.
    var contents: [UInt8] {
        var result = Array("\(Self.header)\n".utf8)
        for (path, time) in entries.sorted(by: { $0.key < $1.key }) {
            result += Array("\(FileTime.format(time)) ".utf8)
            for byte in path.bytes {
                switch byte {
                case UInt8(ascii: "\n"): result += Array("\\n".utf8)
                case UInt8(ascii: "\\"): result += Array("\\\\".utf8)
                default: result.append(byte)
                }
            }
            result.append(UInt8(ascii: "\n"))
        }
        return result
    }

    init(parsing contents: [UInt8]) {
        entries = [:]
        let lines = contents.split(separator: UInt8(ascii: "\n"))
        guard let first = lines.first, first.elementsEqual(Self.header.utf8) else { return }
        for line in lines.dropFirst() {
            guard let space = line.firstIndex(of: UInt8(ascii: " ")),
                let time = FileTime.parse(String(decoding: line[..<space], as: UTF8.self))
            else { continue }
            var path: [UInt8] = []
            var escaped = false
            for byte in line[(space + 1)...] {
                if escaped {
                    path.append(byte == UInt8(ascii: "n") ? UInt8(ascii: "\n") : byte)
                    escaped = false
                } else if byte == UInt8(ascii: "\\") {
                    escaped = true
                } else {
                    path.append(byte)
                }
            }
            entries[BytePath(bytes: path)] = time
        }
    }
}
