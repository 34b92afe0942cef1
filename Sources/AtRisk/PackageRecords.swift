import LinuxKit
import Storage

/// What the package tools themselves say they installed, read from the records that changed.
struct PackageRecords {
    /// Python packages by the directory in which they lie, as `name version`.
    private(set) var python: [BytePath: Set<String>] = [:]
    /// Files of Python packages outside that directory, such as programs in `bin`, with the directory.
    private(set) var pythonFiles: [BytePath: BytePath] = [:]
    /// Packages of the distribution.
    private(set) var distribution: Set<String> = []
    /// Files of these packages.
    private(set) var distributionFiles: Set<BytePath> = []

    /// Reads the records among the changed files.
    ///
    /// - Parameter onDisk: the path to open for a path.
    init(changed: some Sequence<BytePath>, onDisk: (BytePath) -> BytePath) {
        for path in changed {
            let directory = path.parent.lastComponent.bytes
            if directory.suffix(10).elementsEqual(".dist-info".utf8) {
                let site = path.parent.parent
                if let name = Self.nameAndVersion(String(decoding: directory.dropLast(10), as: UTF8.self)) {
                    python[site, default: []].insert(name)
                }
                if path.lastComponent == "RECORD" { readRecord(path, site: site, onDisk: onDisk) }
            } else if path.parent == "/var/lib/dpkg/info", path.bytes.suffix(5).elementsEqual(".list".utf8) {
                let name = String(decoding: path.lastComponent.bytes.dropLast(5), as: UTF8.self)
                distribution.insert(name.split(separator: ":").first.map(String.init) ?? name)
                readList(path, onDisk: onDisk)
            }
        }
    }

    /// `name version` for `name-version`, as wheels name their directories.
    static func nameAndVersion(_ text: String) -> String? {
        guard let dash = text.lastIndex(of: "-"), dash != text.startIndex else { return nil }
        return "\(text[..<dash]) \(text[text.index(after: dash)...])"
    }

    /// RECORD lists one file a line, relative to the site directory, before a comma (PEP 376); quoted when it has a comma.
    private mutating func readRecord(_ path: BytePath, site: BytePath, onDisk: (BytePath) -> BytePath) {
        for line in Self.lines(path, onDisk: onDisk) where line.starts(with: "../".utf8) {
            let file = line.prefix { $0 != UInt8(ascii: ",") }
            pythonFiles[site.appending(file).normalized] = site
        }
    }

    /// `.list` files of dpkg name one path a line; on merged-usr systems `/lib/x` is really `/usr/lib/x`.
    private mutating func readList(_ path: BytePath, onDisk: (BytePath) -> BytePath) {
        for line in Self.lines(path, onDisk: onDisk) {
            let file = BytePath(bytes: line)
            distributionFiles.insert(file)
            if ["/bin", "/sbin", "/lib", "/lib32", "/lib64"].contains(where: { file.isWithin($0) }) {
                distributionFiles.insert(BytePath(bytes: Array("/usr".utf8) + file.bytes))
            }
        }
    }

    private static func lines(_ path: BytePath, onDisk: (BytePath) -> BytePath) -> [ArraySlice<UInt8>] {
        guard let name = onDisk(path).text, let contents = try? LocalFile.read(name) else { return [] }
        return contents.split(separator: UInt8(ascii: "\n"))
    }
}
