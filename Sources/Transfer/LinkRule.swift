import Storage

/// What a symbolic link says at its new place.
///
/// An absolute link stays as it is, and so does a relative one that stays inside the tree. A relative link that leads out of
/// the tree would lead somewhere else from the volume: it becomes absolute, so that it leads where it led.
enum LinkRule {
    /// The link's new text.
    ///
    /// - Parameters:
    ///   - target: what it says now.
    ///   - directory: the directory that holds it; absolute, without links.
    ///   - root: the tree that moves; `directory` lies in it.
    static func text(_ target: [UInt8], in directory: BytePath, of root: BytePath) -> [UInt8] {
        guard let leadsTo = escape(target, in: directory, of: root) else { return target }
        guard leadsTo.isWithin(root) else { return leadsTo.bytes }
        // Out of the tree and in again, by a name that the tree may not have at its new place.
        let up = directory.components.count - root.components.count
        let down = leadsTo.components[root.components.count...].map { Array($0) }
        let names = Array(repeating: Array("..".utf8), count: up) + down
        return names.isEmpty ? Array(".".utf8) : Array(names.joined(separator: [UInt8(ascii: "/")]))
    }

    /// Where a relative link leads that leaves the tree on its way; nil for every other link.
    static func escape(_ target: [UInt8], in directory: BytePath, of root: BytePath) -> BytePath? {
        let path = BytePath(bytes: target)
        guard !path.isAbsolute else { return nil }
        var level = directory.components.count
        var lowest = level
        for component in path.components where !component.elementsEqual(".".utf8) {
            level += component.elementsEqual("..".utf8) ? -1 : 1
            lowest = min(lowest, level)
        }
        guard lowest < root.components.count else { return nil }
        return directory.appending(target).normalized
    }
}
