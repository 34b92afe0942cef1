public import AtRisk
public import Boot
import Catalog
import ControlPlaneAPI
public import Environment
import Glibc
import Limits
public import LinuxKit
public import Settings
public import Storage

/// Storage as this pod's configuration and control plane see it, and what follows from it for the other rooms.
public struct PodView: Sendable {
    /// The configuration it was looked at with.
    public let configuration: AgentConfiguration
    /// Who this pod is.
    public let identity: PodIdentity
    /// Mounts and volumes.
    public let storage: StorageFacts

    /// Looks at mounts and volumes. Blocks for at most a probe's deadline.
    ///
    /// - Throws: ``LinuxError`` when mountinfo cannot be read.
    public static func gather(_ configuration: AgentConfiguration) throws(LinuxError) -> PodView {
        let identity = PodIdentity(configuration)
        return PodView(
            configuration: configuration, identity: identity,
            storage: try StorageFacts.gather(identity.storageOptions(configuration)))
    }

    private var ready: [Volume] { storage.volumes.filter { $0.state == .ready } }

    /// The volume that the environment points to.
    public var primary: PrimaryVolume.Choice {
        PrimaryVolume.choose(
            configured: configuration.storage.primaryVolume, snapshot: identity.hello?.expectedVolume?.mountPoint,
            volumes: ready.map { ($0.name.jsonText, $0.mountPoint.jsonText) })
    }

    /// The mount point of ``primary``.
    public var primaryMountPoint: BytePath? {
        if case .chosen(let index, _) = primary { return ready[index].mountPoint }
        return nil
    }

    /// Whether data written at an absolute path survives the pod.
    public var isPersistent: @Sendable (String) -> Bool {
        { [storage] path in (try? storage.path(BytePath(path)))?.classification.lifetime == .volume }
    }

    /// Which variables should be set.
    ///
    /// - Parameter findsPythons: whether to look for interpreters too, which starts each of them once.
    public func environmentPlan(findsPythons: Bool = true) -> EnvironmentPlan {
        let volume: EnvironmentPlan.Volume?
        let why: String
        switch primary {
        case .chosen(let index, let reason):
            volume = .init(name: ready[index].name.jsonText, mountPoint: ready[index].mountPoint.jsonText)
            why = reason
        case .none(let reason):
            volume = nil
            why = reason
        }
        return EnvironmentPlan.make(
            PodFacts.gather(
                settings: configuration.environment, volume: volume, noVolumeReason: volume == nil ? why : nil,
                environmentFile: EnvironmentApply(configuration).environmentFile, findsPythons: findsPythons,
                isPersistent: isPersistent))
    }

    /// The home directories of the pod's users.
    public var homes: [BytePath] {
        PodFacts.users(passwd: (try? LocalFile.readText("/etc/passwd")) ?? "").map { BytePath($0.home) }
    }

    /// What would be lost now. Walks the writable layer.
    ///
    /// - Parameter walk: how to walk; it can be told to stop, and tells how far it is.
    public func atRisk(paths: [BytePath] = [], walk: TreeWalk = TreeWalk()) -> AtRiskReport {
        AtRiskReport(
            findings(paths: paths, walk: walk),
            stale: staleProcesses(EnvironmentApply(configuration)))
    }

    /// The groups of what would be lost now.
    ///
    /// - Parameter listsFiles: true to name every file.
    public func findings(
        paths: [BytePath] = [], walk: TreeWalk = TreeWalk(), listsFiles: Bool = false
    ) -> AtRiskScan.Findings {
        let apply = EnvironmentApply(configuration)
        var options = AtRiskScan.Options.current(
            storage, stateDirectory: configuration.agent.stateDirectory, homes: homes,
            own: [BytePath(configuration.agent.runtimeDirectory)] + apply.ownPaths().map { BytePath($0) },
            volume: primaryMountPoint, paths: paths, walk: walk)
        options.listsFiles = listsFiles
        return AtRiskScan.run(options)
    }

    /// Processes that started before the environment file was written.
    private func staleProcesses(_ apply: EnvironmentApply) -> [StaleProcess] {
        guard primaryMountPoint != nil, let written = try? FileStatus(apply.environmentFile) else { return [] }
        // A list such as PATH is extended where it is used: only what is set as a whole tells whether it was set.
        let variables = environmentPlan(findsPythons: false).variables.filter { $0.combination == .set }.map(\.name)
        return StaleProcesses(variables: variables, since: written.changed).find()
    }

    /// The volumes in the words of the boot pass.
    public func bootFacts() -> MountFacts {
        let volumes = storage.volumes.map { volume in
            let state: BootVolume.State =
                switch volume.state {
                case .ready: .ready
                case .readOnly: .readOnly
                case .stuck: .stuck
                case .missing: .missing
                }
            return BootVolume(
                name: volume.name.jsonText, mountPoint: volume.mountPoint.jsonText, mountID: volume.mount?.id,
                state: state,
                isExpected: volume.expectedBy != nil)
        }
        switch primary {
        case .chosen(let index, let why):
            let chosen = ready[index].mountPoint.jsonText
            return MountFacts(volumes: volumes, primary: volumes.firstIndex { $0.mountPoint == chosen }, why: why)
        case .none(let why): return MountFacts(volumes: volumes, primary: nil, why: why)
        }
    }
}

extension StorageFacts {
    /// The room on the disk that holds the container's layer; nil where that may hang or does not tell.
    var localRootSpace: ContainerLimits.Use? {
        table.root.map(FilesystemKind.mayHang) == false ? ContainerLimits.space(of: "/") : nil
    }

    /// Whether an absolute path is on a file system that always answers: neither a network nor a FUSE file system.
    var answersAtOnce: @Sendable (String) -> Bool {
        { path in (try? self.path(BytePath(path)))?.mount.map(FilesystemKind.mayHang) == false }
    }
}
