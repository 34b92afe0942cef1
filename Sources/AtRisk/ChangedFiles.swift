import LinuxKit
import Storage

/// The changed files that a walk found, a directory at a time: a path is kept once a directory, not once a file.
struct ChangedFiles {
    /// The changed files of one directory.
    struct Directory {
        let path: BytePath
        let lifetime: Lifetime
        /// Names, each ended by a NUL.
        fileprivate(set) var names: [UInt8] = []
        /// Bytes allocated, in the same order; ``other`` for a further name of a file that is counted already.
        fileprivate(set) var bytes: [UInt64] = []

        /// Calls `body` with each name, and the bytes it counts for; nil for a further name of a counted file.
        func forEach(_ body: (ArraySlice<UInt8>, UInt64?) -> Void) {
            var start = 0
            for count in bytes {
                let end = names[start...].firstIndex(of: 0) ?? names.endIndex
                body(names[start..<end], count == ChangedFiles.other ? nil : count)
                start = end + 1
            }
        }

        /// True when a file of this name changed.
        func contains(_ name: some Collection<UInt8>) -> Bool {
            var found = false
            forEach { changed, _ in if !found, changed.elementsEqual(name) { found = true } }
            return found
        }
    }

    private struct Link {
        let identity: TreeWalk.Identity
        let directory: Int
        let file: Int
    }

    fileprivate static let other = UInt64.max

    private(set) var directories: [Directory] = []
    private var index: [BytePath: Int] = [:]
    private var links: [Link] = []

    /// Adds files of a directory.
    ///
    /// - Parameter isWanted: false for a file that is left out.
    mutating func add(
        _ listing: TreeWalk.Listing, _ lifetime: Lifetime, where isWanted: (ArraySlice<UInt8>, TreeWalk.File) -> Bool
    ) {
        var found = Directory(path: listing.directory, lifetime: lifetime)
        let known = index[listing.directory]
        let first = known.map { directories[$0].bytes.count } ?? 0
        found.names.reserveCapacity(listing.names.count)
        found.bytes.reserveCapacity(listing.files.count)
        listing.forEach { name, file in
            guard isWanted(name, file) else { return }
            if file.links > 1 {
                links.append(
                    Link(
                        identity: file.identity, directory: known ?? directories.count, file: first + found.bytes.count)
                )
            }
            found.names += name
            found.names.append(0)
            found.bytes.append(file.allocatedBytes)
        }
        guard !found.bytes.isEmpty else { return }
        if let known {
            directories[known].names += found.names
            directories[known].bytes += found.bytes
        } else {
            index[listing.directory] = directories.count
            directories.append(found)
        }
    }

    /// Call it once, when all files are there: of several names of one file the first by path counts.
    mutating func countLinksOnce() {
        func path(_ link: Link) -> BytePath {
            var (position, result) = (0, directories[link.directory].path)
            let directory = directories[link.directory]
            directory.forEach { name, _ in
                if position == link.file { result = directory.path.appending(name) }
                position += 1
            }
            return result
        }
        var first: [TreeWalk.Identity: Link] = [:]
        for link in links {
            guard let other = first[link.identity] else {
                first[link.identity] = link
                continue
            }
            let (left, right) = (directories[other.directory].path, directories[link.directory].path)
            let isLater = left == right ? path(link) > path(other) : right > left
            let loser = isLater ? link : other
            directories[loser.directory].bytes[loser.file] = Self.other
            if !isLater { first[link.identity] = link }
        }
        links = []
        directories.sort { $0.path < $1.path }
        index = Dictionary(uniqueKeysWithValues: directories.enumerated().map { ($1.path, $0) })
    }

    /// The directory with this path, if something changed in it.
    subscript(path: BytePath) -> Directory? { index[path].map { directories[$0] } }

    /// True when the file changed.
    func contains(_ path: BytePath) -> Bool {
        self[path.parent]?.contains(path.lastComponent.bytes) == true
    }
}
