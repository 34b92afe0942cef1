public import LinuxKit

/// The mounts of this process, and the answer to the question which of them owns a path.
///
/// The owner is found by walking from the process's root down the parent ids, as the kernel's path lookup does. The
/// longest mount point that is a prefix of the path is the wrong answer wherever one mount hides another.
public struct MountTable: Sendable {
    /// The mounts, in the order of the file.
    public let mounts: [Mount]

    private struct Place: Hashable {
        let parent: UInt64?
        let mountPoint: BytePath
    }
    /// Index into ``mounts`` by parent and mount point; the key's parent is nil for mounts whose parent is not listed.
    private let index: [Place: Int]

    /// Makes a table.
    public init(_ mounts: [Mount]) {
        self.mounts = mounts
        let known = Set(mounts.lazy.map(\.id))
        var index: [Place: Int] = [:]
        index.reserveCapacity(mounts.count)
        for (position, mount) in mounts.enumerated() {
            // The initial root file system is its own parent.
            let isTop = mount.parent == mount.id || !known.contains(mount.parent)
            index[Place(parent: isTop ? nil : mount.parent, mountPoint: mount.mountPoint)] = position
        }
        self.index = index
    }

    /// Reads the mounts of this process.
    ///
    /// - Parameter procRoot: where the proc file system is mounted.
    /// - Returns: the table and the lines that could not be read.
    /// - Throws: ``LinuxError`` when mountinfo cannot be opened.
    public static func read(procRoot: String = "/proc") throws(LinuxError) -> (
        table: MountTable, errors: [MountInfoError]
    ) {
        let info = MountInfo(parsing: try LocalFile.read("\(procRoot)/self/mountinfo", limit: 64 << 20))
        return (MountTable(info.mounts), info.errors)
    }

    /// The mount that owns an absolute path without `.`, `..` and symbolic links; nil when the table does not reach it.
    public func owner(of path: BytePath) -> Mount? {
        guard path.isAbsolute else { return nil }
        let prefixes = Self.prefixes(of: path)
        var current: Mount?
        var first = 0
        // A table that no kernel wrote may hold a cycle; a path cannot cross more mounts than there are.
        for _ in 0...mounts.count {
            guard
                let next = (first..<prefixes.count).lazy.compactMap({ position -> (Int, Int)? in
                    // A mount on the process's own root is not entered: lookups start at the old root.
                    if position == 0, current != nil { return nil }
                    return self.index[Place(parent: current?.id, mountPoint: prefixes[position])].map { (position, $0) }
                }).first
            else { break }
            first = next.0
            current = mounts[next.1]
        }
        return current
    }

    /// True when the mount can be reached by its mount point, not hidden by a later mount.
    public func isVisible(_ mount: Mount) -> Bool { owner(of: mount.mountPoint)?.id == mount.id }

    /// The mount that carries the process's root directory.
    public var root: Mount? { owner(of: .root) }

    /// `/`, `/a`, `/a/b` for `/a/b`.
    private static func prefixes(of path: BytePath) -> [BytePath] {
        var result: [BytePath] = [.root]
        for component in path.components { result.append(result[result.count - 1].appending(component)) }
        return result
    }
}
