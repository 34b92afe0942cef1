import FoundationEssentials
import LinuxKit
import Storage

/// What the package tools had installed before the user came: at the agent's first start, and again after setup. Compared
/// with it, packages of the user are told as added, upgraded or removed.
struct ImagePackages: Codable, Equatable {
    /// Packages of the distribution: name and version.
    var distribution: [String: String] = [:]
    /// Python packages: site directory, name (normalised), version.
    var python: [String: [String: String]] = [:]
    /// Packages of conda environments: prefix, name, version.
    var conda: [String: [String: String]] = [:]

    static let fileName = "image-packages.json"

    /// Where interpreters and conda environments of images lie: patterns of prefixes, `*` for any one name.
    private static let prefixes = [
        "usr", "usr/local", "*", "opt/*", "opt/*/envs/*", "opt/*/*", "root/*", "root/*/envs/*", "home/*/*",
        "home/*/*/envs/*", "root/.pyenv/versions/*", "usr/local/*",
    ]

    /// Looks at the root mount; other mounts are not entered.
    ///
    /// - Parameter root: put before every path.
    static func gather(root: BytePath = .root) -> ImagePackages {
        var found = ImagePackages()
        guard let status = status(root), let mount = status.mountID else { return found }
        func onDisk(_ path: BytePath) -> BytePath {
            root == .root ? path : BytePath(bytes: root.bytes + path.bytes)
        }
        func names(_ path: BytePath) -> [[UInt8]] {
            guard let status = self.status(onDisk(path)), status.kind == .directory, status.mountID == mount else {
                return []
            }
            return DirectoryNames.read(onDisk(path))
        }
        func matching(_ directory: BytePath, _ pattern: ArraySlice<Substring>) -> [BytePath] {
            guard let first = pattern.first else { return [directory] }
            let next =
                first == "*" ? names(directory).map { directory.appending($0) } : [directory.appending(String(first))]
            return next.flatMap { matching($0, pattern.dropFirst()) }
        }
        if let text = onDisk("/var/lib/dpkg/status").text, let contents = try? LocalFile.read(text) {
            found.distribution = distribution(contents)
        }
        for prefix in prefixes.flatMap({ matching(.root, $0.split(separator: "/")[...]) }) {
            let meta = names(prefix.appending("conda-meta"))
            if !meta.isEmpty, let text = prefix.text { found.conda[text] = conda(meta) }
            let library = prefix.appending("lib")
            for python in names(library) where python.starts(with: "python3".utf8) {
                for site in ["site-packages", "dist-packages"] {
                    let path = library.appending(python).appending(site)
                    let versions = Self.python(names(path))
                    if !versions.isEmpty, let text = path.text { found.python[text] = versions }
                }
            }
        }
        return found
    }

    private static func status(_ path: BytePath) -> FileStatus? {
        path.text.flatMap { try? FileStatus($0, mode: .cached) }
    }

    /// Reads the record; nil when there is none.
    static func load(stateDirectory: String) -> ImagePackages? {
        guard let contents = try? LocalFile.read("\(stateDirectory)/\(fileName)") else { return nil }
        return try? JSONDecoder().decode(ImagePackages.self, from: Data(contents))
    }

    /// Writes the record, durably.
    func save(stateDirectory: String) throws(LinuxError) {
        // Only text and dictionaries: encoding cannot fail.
        guard let data = try? JSONEncoder().encode(self) else { return }
        try AtomicFile.write(Array(data), to: "\(stateDirectory)/\(Self.fileName)", mode: 0o600)
    }

    // MARK: Formats

    /// Installed packages in dpkg's status file (deb-control(5), dpkg-query(1)).
    static func distribution(_ contents: [UInt8]) -> [String: String] {
        var result: [String: String] = [:]
        var (name, version, isInstalled) = ("", "", false)
        func value(_ line: ArraySlice<UInt8>, _ field: String) -> String? {
            line.starts(with: field.utf8) ? String(decoding: line.dropFirst(field.utf8.count), as: UTF8.self) : nil
        }
        func close() {
            if isInstalled, !name.isEmpty { result[name] = version }
            (name, version, isInstalled) = ("", "", false)
        }
        for line in contents.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if line.isEmpty { close() }
            if let text = value(line, "Package: ") { name = text }
            if let text = value(line, "Version: ") { version = text }
            if let text = value(line, "Status: ") { isInstalled = text.hasSuffix(" installed") }
        }
        close()
        return result
    }

    /// Versions by name from the names in a site directory: `NAME-VERSION.dist-info` (the packaging specification
    /// "Recording installed projects") and the older `NAME-VERSION[-pyX.Y].egg-info`.
    static func python(_ names: [[UInt8]]) -> [String: String] {
        var result: [String: String] = [:]
        for name in names {
            if let package = pythonPackage(String(decoding: name, as: UTF8.self)) {
                result[normalized(package.name)] = package.version
            }
        }
        return result
    }

    /// Name and version from the name of a record of an installed Python package.
    static func pythonPackage(_ record: String) -> (name: String, version: String)? {
        for ending in [".dist-info", ".egg-info"] where record.hasSuffix(ending) {
            // Neither name nor version holds a dash in these names: it is written as an underscore.
            let parts = record.dropLast(ending.count).split(separator: "-")
            guard parts.count >= 2 else { return nil }
            return (String(parts[0]), String(parts[1]))
        }
        return nil
    }

    /// The name as package indexes compare it (PEP 503).
    static func normalized(_ name: String) -> String {
        name.lowercased().split { "-_.".contains($0) }.joined(separator: "-")
    }

    /// Versions by name from the names in `conda-meta`: `NAME-VERSION-BUILD.json`.
    static func conda(_ names: [[UInt8]]) -> [String: String] {
        var result: [String: String] = [:]
        for name in names {
            if let package = condaPackage(String(decoding: name, as: UTF8.self)) {
                result[package.name] = package.version
            }
        }
        return result
    }

    /// Name and version from the name of a conda package's record.
    static func condaPackage(_ record: String) -> (name: String, version: String)? {
        guard record.hasSuffix(".json") else { return nil }
        let parts = record.dropLast(5).split(separator: "-")
        guard parts.count >= 3 else { return nil }
        return (parts.dropLast(2).joined(separator: "-"), String(parts[parts.count - 2]))
    }
}

/// How a package differs from the image's.
struct PackageChange: Hashable, Comparable {
    let name: String
    /// The image's version; nil when the image does not have it.
    let old: String?
    /// The version now; nil when it is removed, empty when it is not known.
    let new: String?

    /// Differences by name; what is the same is left out.
    static func between(_ old: [String: String], _ new: [String: String]) -> Set<PackageChange> {
        var result: Set<PackageChange> = []
        for (name, version) in new where old[name] != version {
            result.insert(PackageChange(name: name, old: old[name], new: version))
        }
        for (name, version) in old where new[name] == nil {
            result.insert(PackageChange(name: name, old: version, new: nil))
        }
        return result
    }

    /// `demo 1.2`, `demo 1.1 → 1.2`, or `demo removed`.
    var text: String {
        guard let new else { return "\(name) removed" }
        if let old, old != new { return "\(name) \(old) to \(new)" }
        return new.isEmpty ? name : "\(name) \(new)"
    }

    static func < (left: PackageChange, right: PackageChange) -> Bool { left.name < right.name }
}
