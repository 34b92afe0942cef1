public import AtRisk
import Glibc
import LinuxKit
public import Storage

/// What the arguments of `packet-agent move` stand for, and where each goes.
public struct MovePlan: Sendable {
    /// One argument, or a part of it.
    public enum Item: Sendable {
        /// To be moved to a place.
        case move(BytePath, VolumeLayout.Place)
        /// A move of it was interrupted and is to be finished first.
        case recover(BytePath)
        /// A link to the volume stands there already.
        case done(BytePath, BytePath)
        /// A group of which nothing is at risk any more.
        case nothing(BytePath)
        /// It cannot be moved, and why.
        case refuse(BytePath, TransferError)
    }

    private let selection: MoveSelection
    private let layout: VolumeLayout
    private let facts: StorageFacts
    private let copies: Bool
    private let scan: @Sendable ([BytePath]) -> [AtRiskScan.Group]

    /// - Parameters:
    ///   - copies: true for `--copy`.
    ///   - scan: finds what is at risk below paths, or everywhere, with the names of all files.
    public init(
        selection: MoveSelection, layout: VolumeLayout, facts: StorageFacts, copies: Bool,
        scan: @escaping @Sendable ([BytePath]) -> [AtRiskScan.Group]
    ) {
        self.selection = selection
        self.layout = layout
        self.facts = facts
        self.copies = copies
        self.scan = scan
    }

    /// Finds out what arguments stand for: the `id` of a group in `packet-agent at-risk --json`, or a path.
    public func items(_ arguments: [BytePath]) -> [Item] {
        let named = arguments.map(Self.groupPath)
        // Groups are found by looking at everything, because what belongs together may lie apart.
        let groups = named.contains { $0 != nil } ? scan([]) : []
        var items: [Item] = []
        for (argument, path) in zip(arguments, named) {
            if let group = groups.first(where: { BytePath($0.id) == argument }) {
                do throws(TransferError) {
                    for source in try selection.sources(of: group, copies: copies) {
                        items.append(
                            settled(source) ?? .move(source, layout.place(for: source, kind: group.kind)))
                    }
                } catch {
                    items.append(.refuse(group.path, error))
                }
            } else {
                items.append(item(at: path ?? argument, wasGroup: path != nil, groups))
            }
        }
        return items
    }

    /// The path in `KIND:/PATH`; nil for what is no id of a group.
    static func groupPath(_ argument: BytePath) -> BytePath? {
        guard let colon = argument.bytes.firstIndex(of: UInt8(ascii: ":")),
            AtRiskKind(rawValue: String(decoding: argument.bytes[..<colon], as: UTF8.self)) != nil,
            argument.bytes[(colon + 1)...].first == UInt8(ascii: "/")
        else { return nil }
        return BytePath(bytes: argument.bytes[(colon + 1)...])
    }

    /// What a path without symbolic links before its last name stands for when a move was there before; else nil.
    private func settled(_ path: BytePath) -> Item? {
        let status = path.withCString { FileStatus.of(name: $0, in: FileStatus.currentDirectory) }
        let kind = (try? status.get())?.kind
        if kind != .directory, kind != .regular, TreeMove.wasInterrupted(at: path) { return .recover(path) }
        guard kind == .symbolicLink, let target = try? facts.path(path), target.classification.lifetime == .volume
        else {
            return nil
        }
        return .done(path, target.resolved)
    }

    private func item(at requested: BytePath, wasGroup: Bool, _ groups: [AtRiskScan.Group]) -> Item {
        // The name itself, not what a link there leads to.
        let absolute = requested.isAbsolute ? requested : facts.options.workingDirectory.appending(requested.bytes)
        let name = absolute.normalized
        if let parent = try? facts.path(name.parent), parent.classification.lifetime != .volume, name != .root {
            let path = parent.resolved.appending(name.lastComponent.bytes)
            if let item = settled(path) { return item }
        }
        if wasGroup {
            if (try? facts.path(requested))?.exists == true { return .nothing(requested) }
            return .refuse(
                requested,
                TransferError(.refused, "there is no such group; packet-agent at-risk lists the groups"))
        }
        do throws(TransferError) {
            let source = try selection.source(at: requested)
            let found = groups.isEmpty ? scan([source]) : groups
            let group = found.first { $0.path == source && !$0.isShallow }
            if let group,
                group.kind == .compileCache || group.kind == .pipPackages || group.kind == .distributionPackages
            {
                _ = try selection.sources(of: group, copies: copies)
            }
            return .move(source, layout.place(for: source, kind: group?.kind))
        } catch {
            return .refuse(requested, error)
        }
    }
}
