import Glibc
import LinuxKit

/// Finds the file that a path means without leaving a directory tree.
///
/// A dotfile may be a link into a repository of dotfiles, and `/etc/bash.bashrc` one to another name: the file behind it is
/// changed then. A link out of the tree is refused, because there others rule, or a volume that does not answer.
enum TreePath {
    /// The path without symbolic links; what does not exist is taken as it is written.
    ///
    /// - Parameter keepsLast: does not follow the last component, for links that are ours.
    /// - Throws: `EXDEV` for a link out of the tree, `ELOOP` for more than 40 links.
    static func resolve(_ path: String, in tree: String, keepsLast: Bool = false) throws(LinuxError) -> String {
        var done: [String] = []
        var waiting = try inside(path, tree, subject: path)
        var links = 0
        while !waiting.isEmpty {
            let part = waiting.removeFirst()
            if part == "." { continue }
            if part == ".." {
                guard done.popLast() != nil else {
                    throw LinuxError("follow a link out of \(tree) at", path, code: EXDEV)
                }
                continue
            }
            let current = tree + "/" + (done + [part]).joined(separator: "/")
            guard !(keepsLast && waiting.isEmpty), (try? FileStatus(current))?.kind == .symbolicLink else {
                done.append(part)
                continue
            }
            links += 1
            guard links <= 40 else { throw LinuxError("resolve", path, code: ELOOP) }
            let target = String(decoding: try LocalFile.linkTarget(current), as: UTF8.self)
            if target.hasPrefix("/") {
                done = []
                waiting = try inside(target, tree, subject: path) + waiting
            } else {
                waiting = target.split(separator: "/").map(String.init) + waiting
            }
        }
        return tree + "/" + done.joined(separator: "/")
    }

    private static func inside(_ path: String, _ tree: String, subject: String) throws(LinuxError) -> [String] {
        guard path.hasPrefix(tree + "/") else {
            throw LinuxError("follow a link out of \(tree) at", subject, code: EXDEV)
        }
        return path.dropFirst(tree.count).split(separator: "/").map(String.init)
    }
}
