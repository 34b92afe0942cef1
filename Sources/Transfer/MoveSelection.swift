public import AtRisk
import LinuxKit
public import Storage

/// Decides what a group or path of the command line stands for, and refuses what must not be moved. Reads names only.
public struct MoveSelection: Sendable {
    /// The names in a directory, and whether each is a directory itself; nil when it cannot be read.
    public typealias Listing = @Sendable (BytePath) -> [(name: [UInt8], isDirectory: Bool)]?

    private let facts: StorageFacts
    private let homes: [BytePath]
    private let known: [KnownLocation]
    private let list: Listing

    /// Directories that programs expect to find as they are.
    private static let system: Set<BytePath> = [
        "/home", "/tmp", "/var/tmp", "/var/log", "/var/lib", "/var/cache", "/usr/local", "/usr/local/bin",
        "/usr/local/lib", "/usr/local/share", "/usr/bin", "/usr/lib", "/usr/share", "/dev/shm",
    ]

    /// - Parameters:
    ///   - facts: mounts and volumes.
    ///   - homes: home directories.
    ///   - known: where tools keep data and credentials.
    ///   - list: how to look into a local directory.
    public init(
        facts: StorageFacts, homes: [BytePath], known: [KnownLocation], list: @escaping Listing = Self.localListing
    ) {
        self.facts = facts
        self.homes = homes
        self.known = known
        self.list = list
    }

    /// The files and directories that a group stands for.
    ///
    /// - Parameter copies: true for `--copy`, which may take what a link would break.
    public func sources(of group: AtRiskScan.Group, copies: Bool) throws(TransferError) -> [BytePath] {
        switch group.kind {
        case .secret:
            throw TransferError(
                .refused,
                "\(group.path) holds keys or tokens, which do not belong on a volume that others may read; make them again in the next pod, or keep them in the platform's secrets"
            )
        case .pipPackages where !copies, .distributionPackages where !copies:
            let command = group.fix.map { ": \($0.command)" } ?? ""
            throw TransferError(
                .refused,
                "\(group.id) are packages that belong to the image's directories; they are installed again, not moved\(command)"
            )
        case .compileCache where !copies:
            throw TransferError(
                .refused,
                "\(group.path) is a cache of compiled kernels, which fills itself again and fails on network file systems; use --copy to keep a copy"
            )
        case .hubRepository, .preparedDatasets, .modelCache, .code, .unpushedCommits, .virtualEnvironment,
            .compileCache,
            .pipCache:
            return [group.path]
        case .conda:
            guard whole([group.path], group.paths).contains(group.path) else {
                let command = group.fix.map { ": \($0.command)" } ?? ""
                throw TransferError(
                    .refused,
                    "\(group.path) belongs to the image; its packages are installed again, not moved\(command)")
            }
            return [group.path]
        case .dataset where !group.isShallow: return [group.path]
        case .checkpoint where !group.isShallow:
            // The directories `checkpoint-...`, not what lies beside them.
            let depth = group.path.components.count + 1
            return Set(group.paths.map { $0.components.prefix(depth).reduce(BytePath.root) { $0.appending($1) } })
                .sorted()
        case .pipPackages, .distributionPackages: return group.paths.sorted()
        case .other where !group.isShallow: return whole([group.path], group.paths)
        case .dataset, .checkpoint, .notebook, .dotfile, .other: return group.paths.sorted()
        }
    }

    /// The outermost directories that hold nothing but files of a set, and the files that lie in none of these.
    func whole(_ roots: [BytePath], _ files: [BytePath]) -> [BytePath] {
        let wanted = Set(files)
        var result: [BytePath] = []
        /// True when everything below is wanted; adds to the result what is whole when not.
        func visit(_ directory: BytePath) -> Bool {
            guard let entries = list(directory) else { return false }
            let start = result.count
            var isWhole = !isProtected(directory)
            var parts: [BytePath] = []
            for entry in entries {
                let path = directory.appending(entry.name)
                let isWanted = entry.isDirectory ? visit(path) : wanted.contains(path)
                if isWanted { parts.append(path) }
                isWhole = isWhole && isWanted
            }
            // A directory without any file stands for nothing by itself.
            isWhole = isWhole && (!parts.isEmpty || directory.components.count > (roots.first?.components.count ?? 0))
            if isWhole {
                result.removeSubrange(start...)
                return true
            }
            result += parts.filter { wanted.contains($0) || hasFiles($0, wanted) }
            return false
        }
        for root in roots {
            if wanted.contains(root) || visit(root) { result.append(root) }
        }
        return result.sorted()
    }

    private func hasFiles(_ directory: BytePath, _ wanted: Set<BytePath>) -> Bool {
        list(directory)?.contains { entry in
            let path = directory.appending(entry.name)
            return entry.isDirectory ? hasFiles(path, wanted) : wanted.contains(path)
        } ?? false
    }

    private func isProtected(_ path: BytePath) -> Bool {
        path.components.count < 2 || homes.contains(path) || Self.system.contains(path)
            || facts.table.mounts.contains { $0.mountPoint.isWithin(path) }
    }

    /// The real path that a path of the command line stands for.
    ///
    /// - Throws: a refusal for what is on a volume already, for the root of a file system, for a home directory as a whole and
    ///   for directories that hold keys.
    public func source(at requested: BytePath) throws(TransferError) -> BytePath {
        let found: StorageFacts.Path
        do throws(PathResolution.Failure) { found = try facts.path(requested) } catch {
            throw TransferError(.refused, error.description)
        }
        let path = found.resolved
        if found.exists == false { throw TransferError(.refused, "\(requested) does not exist") }
        switch found.classification.lifetime {
        case .volume:
            throw TransferError(
                .refused, "\(requested) is on a volume already: \(path) (\(found.mount?.mountPoint ?? .root))")
        case .kernel, .image:
            throw TransferError(.refused, "\(path) is not data that a pod could lose: \(found.classification.reason)")
        default: break
        }
        if found.mount.map(FilesystemKind.mayHang) == true {
            throw TransferError(
                .refused,
                "\(path) lies on another machine (\(found.mount?.filesystem ?? "?")); only local files are moved")
        }
        try check(path)
        return path
    }

    private func check(_ path: BytePath) throws(TransferError) {
        if let mount = facts.table.mounts.first(where: { facts.table.isVisible($0) && $0.mountPoint.isWithin(path) }) {
            let what = mount.mountPoint == path ? "is a mount point" : "has a mount below it (\(mount.mountPoint))"
            throw TransferError(.refused, "\(path) \(what) and cannot be replaced by a link; move what is in it")
        }
        if homes.contains(where: { $0.isWithin(path) }) {
            throw TransferError(
                .refused, "\(path) is or holds a home directory; move what is in it: packet-agent at-risk lists it")
        }
        if isProtected(path) {
            throw TransferError(.refused, "\(path) is a directory that programs expect as it is; move what is in it")
        }
        for secret in known where secret.kind == .secret {
            if path.isWithin(secret.path) {
                throw TransferError(
                    .refused,
                    "\(path) holds keys or tokens (\(secret.title)), which do not belong on a volume that others may read; make them again in the next pod"
                )
            }
            if secret.path.isWithin(path), exists(secret.path) {
                throw TransferError(
                    .refused,
                    "\(path) holds keys or tokens (\(secret.path)), which do not belong on a volume that others may read; move what is beside them"
                )
            }
        }
    }

    private func exists(_ path: BytePath) -> Bool {
        list(path.parent)?.contains { $0.name == path.lastComponent.bytes } ?? false
    }

    /// Looks into a local directory.
    public static let localListing: Listing = { path in
        guard let opened = try? Opening.directory(path),
            let names = try? Opening.names(opened.number, path: path)
        else { return nil }
        return names.map { name in
            let status = try? FileStatus.of(name: name, in: opened.number).get()
            return (name.bytes, status?.kind == .directory)
        }
    }
}
