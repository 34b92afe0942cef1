import Catalog

/// A view in which one more directory is there, as it will be once the plan is applied.
struct FilesWithDirectory: FileView {
    let files: any FileView
    let path: String

    func text(of path: String) -> String? { files.text(of: path) }
    func entry(at path: String) -> FileEntry? {
        path == self.path ? FileEntry(permissions: 0o777) : files.entry(at: path)
    }
    func access(to path: String) -> FileAccess { path == self.path ? .writable : files.access(to: path) }
    func names(in directory: String) -> [String] { files.names(in: directory) }
}

/// A view in which no file has a text, so that configuration files decide nothing.
struct FilesWithoutText: FileView {
    let files: any FileView

    func text(of path: String) -> String? { nil }
    func entry(at path: String) -> FileEntry? { files.entry(at: path) }
    func access(to path: String) -> FileAccess { files.access(to: path) }
    func names(in directory: String) -> [String] { files.names(in: directory) }
}

/// A view without our own marked blocks: what we put into the tools' files ourselves decides nothing.
struct FilesOfOthers: FileView {
    let files: any FileView

    func text(of path: String) -> String? {
        files.text(of: path).map { String(decoding: LocalText.othersBytes(Array($0.utf8)), as: UTF8.self) }
    }
    func entry(at path: String) -> FileEntry? { files.entry(at: path) }
    func access(to path: String) -> FileAccess { files.access(to: path) }
    func names(in directory: String) -> [String] { files.names(in: directory) }
}
