import AtRisk
public import Boot
import CLinux
import ControlPlaneAPI
public import Environment
import FoundationEssentials
import Glibc
public import LinuxKit
public import Settings
import Storage
import Synchronization

/// `packet-agent boot`: one boot pass of this container.
public enum BootPass {
    /// Waits for an expected volume, sees which one it is, writes the environment and runs the set-up scripts. Blocks until
    /// they ended.
    ///
    /// There is one at a time: when another process does it already (the daemon was restarted meanwhile), that one is waited
    /// for, and its report is the answer.
    public static func run(_ configuration: AgentConfiguration) -> BootReport {
        let paths = AgentPaths(configuration)
        try? AtomicFile.createDirectory(paths.runtimeDirectory)
        // Without the lock (a full disk) the pod is still set up.
        let lock = clinux_open(paths.bootLock, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
        defer { if lock >= 0 { close(lock) } }
        if lock >= 0, flock(lock, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
            while flock(lock, LOCK_EX) != 0, errno == EINTR {}
            if let report = BootReport.load(runtimeDirectory: paths.runtimeDirectory), report.state.isFinal {
                return report
            }
        }
        return noting(configuration) { boot(configuration) }
    }

    private static func boot(_ own: AgentConfiguration) -> BootReport {
        let current = Mutex(own.allowedByControlPlane())
        let configuration = { @Sendable in current.withLock { $0 } }
        var effects = BootRunner.Effects.system(
            configuration: configuration,
            inspectMounts: { () throws(LinuxError) in try PodView.gather(configuration()).bootFacts() },
            isPersistent: { path in
                guard let view = try? PodView.gather(configuration()) else { return false }
                return view.isPersistent(path)
            })
        effects.askControlPlane = {
            guard waitForHello(own) else { return nil }
            let allowed = own.allowedByControlPlane()
            current.withLock { $0 = allowed }
            return .init(own, allowed: allowed)
        }
        effects.examine = { examine($0, configuration()) }
        return BootRunner(effects: effects, options: .init(own, allowed: configuration())).run()
    }

    /// Waits until the boot of this container is over, at most so long; nil when it is not. Blocks its caller.
    public static func waitForEnd(_ configuration: AgentConfiguration, seconds: Int) -> BootReport? {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            let report = BootReport.load(runtimeDirectory: configuration.agent.runtimeDirectory)
            if let report, report.state.isFinal { return report }
            if ContinuousClock.now >= deadline { return nil }
            usleep(100_000)
        }
    }

    /// Waits until the daemon has written down what the control plane answered; false when it did not in time.
    private static func waitForHello(_ configuration: AgentConfiguration) -> Bool {
        let path = AgentPaths(configuration).hello
        let deadline = ContinuousClock.now + .seconds(configuration.boot.controlPlaneWaitSeconds)
        while access(path, R_OK) != 0 {
            if ContinuousClock.now >= deadline { return false }
            usleep(100_000)
        }
        return true
    }

    /// Which volume it is, and who else uses it. The lease itself is the daemon's, who keeps it.
    private static func examine(_ volume: BootVolume, _ configuration: AgentConfiguration)
        -> BootRunner.Effects.Outcome
    {
        guard let view = try? PodView.gather(configuration),
            let mount = view.storage.volumes.first(where: { $0.mountPoint.jsonText == volume.mountPoint })?.mount
        else { return (nil, ["\(volume.mountPoint) is no longer mounted"]) }
        let expected = view.identity.expectedVolume.flatMap { $0.mountPoint == mount.mountPoint ? $0.attachment : nil }
        let now = ControlPlaneAPI.Timestamp(milliseconds: Int64(time(nil)) * 1000).description
        let asked = VolumeLease(
            pod: view.identity.leaseHolder, start: "boot-\(getpid())", startedAt: now, renewedAt: now, ended: nil,
            memory: nil)
        let probe = StorageProbe(deadline: configuration.storage.probeTimeoutMilliseconds)
        let found: VolumeExamination
        switch probe.examine(mount, lease: asked, attachment: expected, renews: false) {
        case .answered(let examination): found = examination
        case .stuck(let reason), .refused(let reason), .failed(let reason): return (nil, [reason])
        }
        var problems = found.failure.map { [$0] } ?? []
        let wanted = configuration.storage.volumeID
        if !wanted.isEmpty, let id = found.identity, id != wanted {
            problems.append("\(volume.mountPoint) is volume \(id), but storage.volume_id says \(wanted)")
        }
        if let expected, let noted = found.attachment, noted.controlPlane == expected.controlPlane,
            noted.volumeID != expected.volumeID
        {
            problems.append(
                "\(volume.mountPoint) is the control plane's volume \(noted.volumeID), but volume \(expected.volumeID) should be attached"
            )
        }
        if let other = found.otherPod { problems.append("pod \(other.pod) uses \(volume.mountPoint) too") }
        return (found.identity.map { "volume \($0), used by no other pod" }, problems)
    }

    /// Notes what `body` and its children write, so that it does not count as the user's
    /// (`docs/decisions/006-what-setup-wrote.md`).
    public static func noting<Result>(_ configuration: AgentConfiguration, _ body: () throws -> Result) rethrows
        -> Result
    {
        let state = configuration.agent.stateDirectory
        let born = (try? FileStatus("/"))?.born
        // Without the stamp everything since the container's start counts as the user's: the safe side.
        try? FirstStart.record(stateDirectory: state, layerBorn: born)
        let before = FirstStart.now()
        let witness = try? BootWitness.start()
        defer {
            // Without a witness somebody may have written: the safe side.
            let isAlone = witness?.stop().isEmpty ?? false
            _ = try? Baseline.capture(
                changedBetween: before, and: FirstStart.now(), isAlone: isAlone, stateDirectory: state)
        }
        return try body()
    }

    /// The volume that `setup run` takes the scripts from, and the environment that a user's script gets.
    public static func setupInput(_ configuration: AgentConfiguration) throws(LinuxError) -> (
        volume: SetupRunner.Volume?, environment: (EnvironmentPlan.User) -> [String: String]
    ) {
        let view = try PodView.gather(configuration)
        let facts = view.bootFacts()
        let volume = facts.primary.map { facts.volumes[$0] }
        return (
            volume.map { SetupRunner.Volume(mountPoint: $0.mountPoint, mountID: $0.mountID) },
            BootRunner.Effects.setupEnvironment(configuration, volume: volume, isPersistent: view.isPersistent)
        )
    }
}
