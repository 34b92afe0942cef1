import AtRisk
public import Boot
import Environment
public import LinuxKit
public import Settings
import Storage

/// `packet-agent boot`: one boot pass of this container.
public enum BootPass {
    /// Looks at the mounts, waits for an expected volume, writes the environment and runs the set-up script. Blocks until
    /// the script ended.
    public static func run(_ configuration: AgentConfiguration) -> BootReport {
        noting(configuration) {
            BootRunner(
                effects: .system(
                    configuration: configuration,
                    inspectMounts: { () throws(LinuxError) in try PodView.gather(configuration).bootFacts() },
                    isPersistent: { path in
                        guard let view = try? PodView.gather(configuration) else { return false }
                        return view.isPersistent(path)
                    }),
                waitSeconds: configuration.storage.volumeWaitSeconds, setupEnabled: configuration.setup.enabled
            ).run()
        }
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

    /// The volume that `setup run` takes the script from, and the environment it gets.
    public static func setupInput(_ configuration: AgentConfiguration) throws(LinuxError) -> (
        volume: SetupRunner.Volume?, environment: [String: String]
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
