import AtRisk
import Boot
import Catalog
import ControlPlaneAPI
public import Doctor
import Effects
import Environment
import FoundationEssentials
public import GPU
import Glibc
import Limits
import LinuxKit
import LocalAPI
public import Settings
import Storage

/// Asks every room for what the doctor judges, each with its own deadline.
public enum FactsGatherer {
    /// Milliseconds that NVML may take when no daemon has an answer ready.
    private static let nvmlMilliseconds = 2000

    /// How to find out what would be lost.
    public enum Sizes: Sendable {
        /// Walk the writable layer.
        case measured
        /// Take the daemon's last answer.
        case cached
        /// Not at all.
        case none
    }

    /// Gathers the facts.
    ///
    /// - Parameters:
    ///   - session: the environment of the session that asks; nil when no session does.
    ///   - sizes: how to find out what would be lost.
    ///   - findsPythons: whether interpreters are looked for, which starts each of them.
    public static func gather(
        _ loaded: AgentConfiguration.Loaded, version: String, session: [String: String]?, sizes: Sizes,
        findsPythons: Bool = true
    ) async -> Facts {
        let configuration = loaded.configuration
        let paths = AgentPaths(configuration)
        var facts = Facts(configuration: loaded)
        facts.version = version
        async let daemon = askDaemon(paths.socket)
        facts.user = .init(uid: geteuid(), home: home(session))
        facts.session = session
        do throws(LinuxError) {
            let view = try PodView.gather(configuration)
            facts.storage = view.storage
            facts.layer = WritableLayer(view.storage.table)
            facts.primary = view.primary
            facts.expectedVolume = view.identity.expectedVolume.map { ($0.mountPoint.jsonText, $0.attachment) }
            let plan = view.environmentPlan(findsPythons: findsPythons)
            facts.plan = plan
            facts.tools = tools(session, facts.user, view)
            (facts.environmentFile, facts.profileFile) = files(plan, configuration)
            for volume in view.storage.volumes where [.missing, .stuck].contains(volume.state) {
                facts.usersOfGoneVolumes[volume.mountPoint.jsonText] = VolumeUsers(of: volume.mountPoint).find(
                    excluding: getpid())
            }
            if sizes == .measured { facts.atRisk = view.atRisk() }
        } catch {
            facts.storageFailure = error.description
        }
        if sizes == .cached {
            facts.atRisk = (try? LocalFile.read(paths.atRisk, limit: 16 << 20)).flatMap {
                try? JSONDecoder().decode(AtRiskReport.self, from: Data($0))
            }
        }
        for entry in VolumesDocument.read(paths.volumes)?.volumes ?? [] {
            guard let examination = entry.examination else { continue }
            facts.examinations[entry.mountPoint] = .init(
                examination: examination, firstIdentity: entry.firstIdentity,
                lastEnd: entry.lastEnd.map { ($0.cause, $0.text) })
        }
        facts.limits = ContainerLimits.read()
        facts.limits?.disk = facts.storage?.localRootSpace
        facts.boot = (try? LocalFile.read(paths.boot, limit: 1 << 20)).flatMap {
            try? JSONDecoder().decode(JSONValue.self, from: Data($0))
        }
        facts.setup = facts.boot == nil ? nil : (try? SetupRunner(configuration: configuration))?.current()
        facts.controlPlane = .init(
            url: configuration.controlPlane.url, podUID: configuration.controlPlane.podUID,
            tokenProblem: configuration.controlPlane.url.isEmpty
                ? nil : tokenProblem(configuration.controlPlane.tokenFile))
        let (status, gpu) = await daemon
        if let status, let version = status.agent, let pid = status.pid {
            facts.daemon = .init(
                version: version, pid: pid, spooled: status.delivery.spooled,
                oldestUnackedSeconds: status.delivery.oldestUnackedSeconds,
                lastAckSeconds: status.delivery.lastAckSeconds, failure: status.delivery.failure)
        }
        if configuration.gpu.enabled { facts.gpu = gpu ?? readGPUs(configuration.gpu) }
        return facts
    }

    private static func home(_ session: [String: String]?) -> String {
        if let home = session?["HOME"], home.hasPrefix("/") { return home }
        return geteuid() == 0 ? "/root" : "/"
    }

    private static func askDaemon(_ socket: String) async -> (StatusDocument?, GPUSnapshot?) {
        guard let status = try? await LocalClient.get("/v1/status", socket: socket) else { return (nil, nil) }
        let gpu = try? await LocalClient.get("/v1/gpu", socket: socket)
        return (
            try? JSONDecoder().decode(StatusDocument.self, from: Data(status)),
            gpu.flatMap { try? JSONDecoder().decode(GPUSnapshot.self, from: Data($0)) }
        )
    }

    /// NVML's answer without a daemon. Blocks for at most two seconds; a driver that hangs keeps a thread, not this process.
    public static func readGPUs(_ settings: AgentConfiguration.GPU) -> GPUSnapshot? {
        var options = GPUSampler.Options()
        options.libraryPath = settings.library
        options.watchesEvents = false
        guard let bell = try? Bell(), let sampler = try? GPUSampler(options, onTick: { _ in bell.ring() }),
            (try? sampler.start()) != nil
        else { return nil }
        bell.wait(milliseconds: nvmlMilliseconds)
        let snapshot = sampler.snapshot
        _ = sampler.stop(milliseconds: 100)
        return snapshot
    }

    // A doorbell that a closure can hold.
    private final class Bell: Sendable {
        private let doorbell: Doorbell

        init() throws(LinuxError) { doorbell = try Doorbell() }

        func ring() { doorbell.ring() }
        func wait(milliseconds: Int) { _ = doorbell.wait(milliseconds: milliseconds, answer: true) }
    }

    private static func tools(
        _ session: [String: String]?, _ user: EnvironmentPlan.User, _ view: PodView
    ) -> [Facts.ToolPath] {
        let context = ResolutionContext(
            environment: session ?? PodFacts.containerEnvironment(), home: user.home,
            workingDirectory: view.storage.options.workingDirectory.jsonText, uid: user.uid,
            // A tool's rule may ask for files on a volume that does not answer.
            files: LocalFiles(uid: user.uid, mayTouch: view.storage.answersAtOnce))
        return Catalog.tools.compactMap { tool in
            guard let path = tool.resolve(context), path.hasPrefix("/"),
                let found = try? view.storage.path(BytePath(path))
            else { return nil }
            return Facts.ToolPath(tool: tool, path: path, classification: found.classification)
        }
    }

    private static func files(
        _ plan: EnvironmentPlan, _ configuration: AgentConfiguration
    ) -> (environment: Facts.FileState, profile: Facts.FileState) {
        let apply = EnvironmentApply(configuration)
        let changes = apply.changes(for: plan).changes
        func state(_ path: String) -> Facts.FileState {
            guard let change = changes.first(where: { $0.path == path }) else { return .current }
            return change.old == nil ? .missing : .outdated
        }
        return (state(apply.environmentFile), state(apply.profileFile))
    }

    private static func tokenProblem(_ path: String) -> String? {
        do {
            let status = try FileStatus(path, mode: .follow)
            return status.permissions & 0o077 == 0
                ? nil : "\(TerminalText.escape(path)) can be read by others; chmod 600 \(TerminalText.escape(path))"
        } catch {
            return geteuid() != 0 && error.code == EACCES ? nil : error.description
        }
    }
}
