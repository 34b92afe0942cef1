public import LinuxKit

/// The mounts of this process, and the answer to the question which of them owns a path.
///
/// The owner is found by walking from the process's root down the parent ids, as the kernel's path lookup does. The
/// longest mount point that is a prefix of the path is the wrong answer wherever one mount hides another.
public struct MountTable: Sendable {
    /// The mounts, in the order of the file.
    public let mounts: [Mount]

    /// The last mount of each place (the parent and the mount point), by the place's hash; mounts whose hashes are equal
    /// are chained through ``collisions``. Looking up bytes by a running hash needs no copy of every prefix of a path.
    private let places: [Int: Int]
    private let collisions: [Int: Int]
    /// Whether the parent of each mount is not listed: the process's root, or a part of a table.
    private let isTop: [Bool]

    /// Makes a table.
    public init(_ mounts: [Mount]) {
        self.mounts = mounts
        var known = Set<UInt64>(minimumCapacity: mounts.count)
        for mount in mounts { known.insert(mount.id) }
        var places: [Int: Int] = [:]
        places.reserveCapacity(mounts.count)
        var collisions: [Int: Int] = [:]
        var isTop: [Bool] = []
        isTop.reserveCapacity(mounts.count)
        for (position, mount) in mounts.enumerated() {
            // The initial root file system is its own parent.
            isTop.append(mount.parent == mount.id || !known.contains(mount.parent))
            var hash = PathHash()
            mount.mountPoint.bytes.withUnsafeBufferPointer { bytes in
                var end = 0
                while let next = PathHash.nextName(in: bytes, after: end) {
                    hash.add(UnsafeBufferPointer(rebasing: bytes[next]))
                    end = next.upperBound
                }
            }
            let key = hash.value(parent: isTop[position] ? nil : mount.parent)
            // Later mounts stand first in the chain: of two at one place, the later one is on top.
            if let earlier = places.updateValue(position, forKey: key) { collisions[position] = earlier }
        }
        self.places = places
        self.collisions = collisions
        self.isTop = isTop
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
        return path.bytes.withUnsafeBufferPointer { bytes in
            // From the process's root down: at each name, whatever is mounted there, on top of what is mounted there.
            var hash = PathHash()
            var current: Int?
            var end = 0
            // A table that no kernel wrote may hold a cycle; a path cannot cross more mounts than there are.
            var left = mounts.count
            if let top = mount(at: bytes[..<0], on: nil, hash) { current = top }
            while let next = PathHash.nextName(in: bytes, after: end) {
                hash.add(UnsafeBufferPointer(rebasing: bytes[next]))
                end = next.upperBound
                while left > 0, let over = mount(at: bytes[..<end], on: current, hash) {
                    current = over
                    left -= 1
                }
            }
            return current.map { mounts[$0] }
        }
    }

    /// The index of the topmost mount on `parent` at a prefix of a path; nil when there is none.
    private func mount(at prefix: Slice<UnsafeBufferPointer<UInt8>>, on parent: Int?, _ hash: PathHash) -> Int? {
        var candidate = places[hash.value(parent: parent.map { mounts[$0].id })]
        while let position = candidate {
            let mount = mounts[position]
            if parent.map({ mounts[$0].id == mount.parent && !isTop[position] }) ?? isTop[position],
                PathHash.isSame(mount.mountPoint, prefix)
            {
                return position
            }
            candidate = collisions[position]
        }
        return nil
    }

    /// True when the mount can be reached by its mount point, not hidden by a later mount.
    public func isVisible(_ mount: Mount) -> Bool { owner(of: mount.mountPoint)?.id == mount.id }

    /// The mount that carries the process's root directory.
    public var root: Mount? { owner(of: .root) }
}

/// The hash of a path that grows name by name. Repeated and trailing slashes do not count.
private struct PathHash {
    private var names = Hasher()

    /// Adds a name together with the slash before it, so that `/a/b` and `/ab` differ.
    mutating func add(_ name: UnsafeBufferPointer<UInt8>) { names.combine(bytes: UnsafeRawBufferPointer(name)) }

    func value(parent: UInt64?) -> Int {
        var copy = names
        copy.combine(parent)
        return copy.finalize()
    }

    /// The range of the next name of an absolute path, with one slash before it.
    static func nextName(in path: UnsafeBufferPointer<UInt8>, after end: Int) -> Range<Int>? {
        var start = end
        while start < path.count, path[start] == BytePath.slash { start += 1 }
        guard start < path.count else { return nil }
        var stop = start
        while stop < path.count, path[stop] != BytePath.slash { stop += 1 }
        return max(start - 1, 0)..<stop
    }

    /// True when both have the same names.
    static func isSame(_ path: BytePath, _ other: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        if path.bytes.count == other.count { return path.bytes.elementsEqual(other) }
        let (left, right) = (path.bytes.split(separator: BytePath.slash), other.split(separator: BytePath.slash))
        return left.count == right.count && zip(left, right).allSatisfy { $0.elementsEqual($1) }
    }
}
