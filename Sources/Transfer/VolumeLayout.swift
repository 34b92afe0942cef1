public import AtRisk
import Catalog
public import Storage

/// What goes where on a volume: as the platform's documentation lays volumes out, and where the variables of `packet-agent
/// env` send the tools. Pure.
public struct VolumeLayout: Sendable {
    /// A place on the volume.
    public struct Place: Sendable, Equatable {
        /// The path.
        public let path: BytePath
        /// True for a cache of files that never change: what is missing there may be added.
        public let merges: Bool
    }

    private struct ToolPlace {
        let source: BytePath
        let target: BytePath
        let merges: Bool
    }

    private let volume: BytePath
    private let homes: [BytePath]
    private let tools: [ToolPlace]

    /// Makes the layout of a volume.
    ///
    /// - Parameters:
    ///   - homes: home directories.
    ///   - environment: the variables that move the tools' places of the first home.
    public init(volume: BytePath, homes: [BytePath], environment: [String: String] = [:]) {
        self.volume = volume
        self.homes = homes
        tools = homes.flatMap { home in
            Self.tools(home, [:], volume) + (home == homes.first ? Self.tools(home, environment, volume) : [])
        }.sorted { $0.source.bytes.count > $1.source.bytes.count }
    }

    private static func tools(_ home: BytePath, _ environment: [String: String], _ volume: BytePath) -> [ToolPlace] {
        guard let homeText = home.text, let volume = volume.text else { return [] }
        func resolve(_ tool: ToolLocation, _ environment: [String: String]) -> BytePath? {
            let context = ResolutionContext(
                environment: environment.merging(["HOME": homeText]) { $1 }, home: homeText, files: EveryDirectory())
            return tool.resolve(context).map { BytePath($0).normalized }
        }
        return Catalog.tools.compactMap { tool in
            // Where the tool looks once its variable points to the volume, which may be deeper than the variable says.
            guard tool.placement == .direct, !tool.isLeftUnset, let directory = tool.volumeSubdirectory,
                let variable = tool.variables.first,
                let source = resolve(tool, environment), source.components.count > 1, !home.isWithin(source),
                let target = resolve(tool, [variable: "\(volume)/\(directory)"]), target.isWithin(BytePath(volume))
            else { return nil }
            return ToolPlace(source: source, target: target, merges: tool.kind != AtRiskKind.code.rawValue)
        }
    }

    /// The place for a file or directory.
    ///
    /// - Parameters:
    ///   - source: absolute, without symbolic links.
    ///   - kind: what it is; nil when nothing is known.
    public func place(for source: BytePath, kind: AtRiskKind?) -> Place {
        if let tool = tools.first(where: { source.isWithin($0.source) }) {
            let rest = source.components.dropFirst(tool.source.components.count)
            return Place(path: rest.reduce(tool.target) { $0.appending($1) }, merges: tool.merges)
        }
        func below(_ directory: String) -> BytePath {
            volume.appending(directory).appending(belowHome(source).joined(separator: [UInt8(ascii: "/")]))
        }
        switch kind {
        case .hubRepository:
            return Place(path: volume.appending("huggingface/hub").appending(source.lastComponent.bytes), merges: true)
        case .preparedDatasets:
            return Place(
                path: volume.appending("huggingface/datasets").appending(source.lastComponent.bytes), merges: true)
        case .modelCache: return Place(path: below("models"), merges: true)
        case .dataset: return Place(path: below("data"), merges: false)
        case .code, .unpushedCommits: return Place(path: below("code"), merges: false)
        case .checkpoint: return Place(path: below("checkpoints"), merges: false)
        case .virtualEnvironment, .conda: return Place(path: below("envs"), merges: false)
        // Where `packet-agent at-risk` said it would be before it could move: under its whole path.
        default: return Place(path: volume.appending("saved").appending(source.bytes.dropFirst()), merges: false)
        }
    }

    /// The path below its home directory, else the whole path: two directories of one name do not meet on the volume.
    private func belowHome(_ source: BytePath) -> [ArraySlice<UInt8>] {
        let home = homes.filter { source != $0 && source.isWithin($0) }.max { $0.bytes.count < $1.bytes.count }
        return Array(source.components.dropFirst(home?.components.count ?? 0))
    }
}

/// A view in which every directory is there and may be written, as it will be where data is moved, and no file has a text.
private struct EveryDirectory: FileView {
    func text(of path: String) -> String? { nil }
    func entry(at path: String) -> FileEntry? { FileEntry(permissions: 0o777) }
    func access(to path: String) -> FileAccess { .writable }
    func names(in directory: String) -> [String] { [] }
}
