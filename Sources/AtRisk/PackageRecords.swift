import FoundationEssentials
import LinuxKit
import Storage

/// What the package tools themselves say they installed, read from the records that changed.
struct PackageRecords {
    /// How the Python packages in a site directory differ from the image's.
    private(set) var python: [BytePath: Set<PackageChange>] = [:]
    /// Files of Python packages outside their site directory, such as programs in `bin`, with the directory.
    private(set) var pythonFiles: [BytePath: BytePath] = [:]
    /// How the packages of the distribution differ from the image's.
    private(set) var distribution: Set<PackageChange> = []
    /// Files and directories of changed packages of the distribution.
    private(set) var distributionFiles: Set<BytePath> = []
    /// How the packages of a conda environment of the image differ from the image's.
    private(set) var conda: [BytePath: Set<PackageChange>] = [:]
    /// Files of changed conda packages in environments of the image, with the environment.
    private(set) var condaFiles: [BytePath: BytePath] = [:]
    /// Conda environments that the image does not have.
    private(set) var newCondas: Set<BytePath> = []

    /// Reads the records among the changed files.
    ///
    /// - Parameters:
    ///   - image: what the image had; nil when that is not known: everything changed is taken for added.
    ///   - onDisk: the path to open for a path.
    init(changed: ChangedFiles, image: ImagePackages?, onDisk: (BytePath) -> BytePath) {
        readDistribution(changed["/var/lib/dpkg/info"], image, onDisk)
        for directory in changed.directories {
            let name = directory.path.lastComponent
            if name == "conda-meta" { readConda(directory, image, onDisk) }
            if let package = ImagePackages.pythonPackage(name.description),
                !distributionFiles.contains(directory.path)
            {
                readPython(package, in: directory, onDisk)
            }
        }
        for (site, packages) in image?.python ?? [:] { comparePython(BytePath(site), packages, onDisk) }
        for (prefix, packages) in image?.conda ?? [:] {
            let now = ImagePackages.conda(DirectoryNames.read(onDisk(BytePath(prefix).appending("conda-meta"))))
            // An empty answer is a directory that cannot be read: the base environment cannot remove all of itself.
            let changes = now.isEmpty ? [] : PackageChange.between(packages, now)
            if !changes.isEmpty { conda[BytePath(prefix)] = changes }
        }
    }

    private mutating func readPython(
        _ package: (name: String, version: String), in directory: ChangedFiles.Directory,
        _ onDisk: (BytePath) -> BytePath
    ) {
        // conda writes such records for its own packages too.
        if let path = onDisk(directory.path.appending("INSTALLER")).text,
            let installer = try? LocalFile.readText(path, limit: 64), installer.hasPrefix("conda")
        {
            return
        }
        let site = directory.path.parent
        python[site, default: []].insert(PackageChange(name: package.name, old: nil, new: package.version))
        // RECORD lists one file a line, relative to the site directory, before a comma (PEP 376); quoted when it has a comma.
        guard directory.contains("RECORD".utf8) else { return }
        for line in Self.lines(directory.path.appending("RECORD"), onDisk: onDisk) where line.starts(with: "../".utf8) {
            let file = line.prefix { $0 != UInt8(ascii: ",") }
            pythonFiles[site.appending(file).normalized] = site
        }
    }

    /// Tells in a site directory of the image what was upgraded and what is gone.
    private mutating func comparePython(_ site: BytePath, _ old: [String: String], _ onDisk: (BytePath) -> BytePath) {
        let names = DirectoryNames.read(onDisk(site))
        guard !names.isEmpty else { return }
        let now = ImagePackages.python(names)
        var changes = Set(
            python[site, default: []].map { change in
                PackageChange(name: change.name, old: old[ImagePackages.normalized(change.name)], new: change.new)
            }.filter { $0.old != $0.new })
        // Only the distribution's package manager removes from its own directory.
        if site != "/usr/lib/python3/dist-packages" {
            changes.formUnion(PackageChange.between(old, now).filter { $0.new == nil })
        }
        python[site] = changes.isEmpty ? nil : changes
    }

    /// `.list` files of dpkg name one path a line; on merged-usr systems `/lib/x` is really `/usr/lib/x`.
    private mutating func readDistribution(
        _ info: ChangedFiles.Directory?, _ image: ImagePackages?, _ onDisk: (BytePath) -> BytePath
    ) {
        let status = onDisk("/var/lib/dpkg/status").text.flatMap { try? LocalFile.read($0) }
        let now = ImagePackages.distribution(status ?? [])
        if let image, !now.isEmpty { distribution = PackageChange.between(image.distribution, now) }
        info?.forEach { name, _ in
            guard name.suffix(5).elementsEqual(".list".utf8) else { return }
            let package = String(decoding: name.dropLast(5).prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
            if !distribution.contains(where: { $0.name == package }) {
                distribution.insert(
                    PackageChange(name: package, old: image?.distribution[package], new: now[package] ?? ""))
            }
            for line in Self.lines(BytePath("/var/lib/dpkg/info").appending(name), onDisk: onDisk) {
                let file = BytePath(bytes: line)
                distributionFiles.insert(file)
                if ["/bin", "/sbin", "/lib", "/lib32", "/lib64"].contains(where: { file.isWithin($0) }) {
                    distributionFiles.insert(BytePath(bytes: Array("/usr".utf8) + file.bytes))
                }
            }
        }
    }

    private struct CondaRecord: Decodable { let files: [String]? }

    /// A conda package's record in `conda-meta` names its files, relative to the environment (conda's `PrefixRecord`).
    private mutating func readConda(
        _ meta: ChangedFiles.Directory, _ image: ImagePackages?, _ onDisk: (BytePath) -> BytePath
    ) {
        let prefix = meta.path.parent
        guard let text = prefix.text, image?.conda[text] != nil else {
            newCondas.insert(prefix)
            return
        }
        meta.forEach { name, _ in
            let path = meta.path.appending(name)
            condaFiles[path] = prefix
            guard name.suffix(5).elementsEqual(".json".utf8), let text = onDisk(path).text,
                let contents = try? LocalFile.read(text),
                let record = try? JSONDecoder().decode(CondaRecord.self, from: Data(contents))
            else { return }
            for file in record.files ?? [] { condaFiles[prefix.appending(file)] = prefix }
        }
    }

    private static func lines(_ path: BytePath, onDisk: (BytePath) -> BytePath) -> [ArraySlice<UInt8>] {
        guard let name = onDisk(path).text, let contents = try? LocalFile.read(name) else { return [] }
        return contents.split(separator: UInt8(ascii: "\n"))
    }
}
