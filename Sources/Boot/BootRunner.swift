public import Effects
public import Environment
import FoundationEssentials
import Glibc
public import LinuxKit
public import Settings

/// Performs the actions of a ``BootSequence`` and writes `boot.json` after every event.
///
/// Blocks its caller until the boot is over, setup.sh included: run it on a thread of its own.
public struct BootRunner: Sendable {
    /// What the runner does to the world.
    public struct Effects: Sendable {
        /// Looks at the volumes without touching them from this thread.
        public var inspectMounts: @Sendable () throws(LinuxError) -> MountFacts
        /// Waits for a change of the mounts, at most so many milliseconds.
        public var waitForMounts: @Sendable (Int) -> Void
        /// Writes flag and environment for a volume or none (with the reason); returns a summary and what went wrong.
        public var applyEnvironment: @Sendable (BootVolume?, String) -> (detail: String?, problems: [String])
        /// Runs the script, reporting each state.
        public var runSetup: @Sendable (BootVolume?, (SetupRecord) -> Void) -> SetupRecord
        /// Writes the report.
        public var record: @Sendable (BootReport) -> Void

        /// Gathers effects.
        public init(
            inspectMounts: @escaping @Sendable () throws(LinuxError) -> MountFacts,
            waitForMounts: @escaping @Sendable (Int) -> Void,
            applyEnvironment: @escaping @Sendable (BootVolume?, String) -> (detail: String?, problems: [String]),
            runSetup: @escaping @Sendable (BootVolume?, (SetupRecord) -> Void) -> SetupRecord,
            record: @escaping @Sendable (BootReport) -> Void
        ) {
            self.inspectMounts = inspectMounts
            self.waitForMounts = waitForMounts
            self.applyEnvironment = applyEnvironment
            self.runSetup = runSetup
            self.record = record
        }
    }

    private let effects: Effects
    private let clock: any Clock
    private let waitSeconds: Int
    private let setupEnabled: Bool

    /// Prepares a boot; see ``BootSequence/init(waitSeconds:setupEnabled:)``.
    public init(effects: Effects, waitSeconds: Int, setupEnabled: Bool, clock: any Clock = SystemClock()) {
        self.effects = effects
        self.clock = clock
        self.waitSeconds = waitSeconds
        self.setupEnabled = setupEnabled
    }

    /// Boots.
    @discardableResult
    public func run() -> BootReport {
        var sequence = BootSequence(waitSeconds: waitSeconds, setupEnabled: setupEnabled)
        var actions = sequence.handle(.start, at: now())
        while let action = actions.first {
            effects.record(sequence.report)
            actions = Array(actions.dropFirst()) + sequence.handle(perform(action, &sequence), at: now())
        }
        effects.record(sequence.report)
        return sequence.report
    }

    private func now() -> BootSequence.Moment { .init(boottime: clock.boottime(), wall: clock.realtimeMilliseconds()) }

    private func perform(_ action: BootSequence.Action, _ sequence: inout BootSequence) -> BootSequence.Event {
        switch action {
        case .inspectMounts:
            do throws(LinuxError) {
                return .mounts(try effects.inspectMounts())
            } catch {
                return .mountsFailed(error.description)
            }
        case .waitForMounts(let milliseconds):
            effects.waitForMounts(milliseconds)
            return .mountsMayHaveChanged
        case .applyEnvironment(let volume, let why):
            let result = effects.applyEnvironment(volume, why)
            return .environmentApplied(detail: result.detail, problems: result.problems)
        case .runSetup(let volume):
            var current = sequence
            let record = effects.runSetup(volume) { state in
                guard state.state.isRunning || state.state == .timeout else { return }
                var running = state
                if state.state == .timeout { running.state = .running }
                _ = current.handle(.setup(running), at: now())
                effects.record(current.report)
            }
            // A script that an earlier agent started and that still runs ends without anybody seeing how.
            var last = record
            if last.state.isRunning { last.state = .failed }
            return .setup(last)
        }
    }
}

extension BootRunner.Effects {
    /// The real effects.
    ///
    /// - Parameters:
    ///   - inspectMounts: looks at the volumes; Storage's answer in this room's words.
    ///   - isPersistent: whether data written at an absolute path survives the pod.
    ///   - root: put before `/etc`; for tests.
    public static func system(
        configuration: AgentConfiguration, inspectMounts: @escaping @Sendable () throws(LinuxError) -> MountFacts,
        isPersistent: @escaping @Sendable (String) -> Bool, probe: ProbeProgram = .current, root: String = "",
        proc: String = "/proc"
    ) -> BootRunner.Effects {
        let runtime = configuration.agent.runtimeDirectory
        return BootRunner.Effects(
            inspectMounts: inspectMounts,
            waitForMounts: { MountChange.wait(milliseconds: $0) },
            applyEnvironment: { volume, why in
                let apply = EnvironmentApply(configuration, root: root)
                let facts = PodFacts.gather(
                    settings: configuration.environment,
                    volume: volume.map { EnvironmentPlan.Volume(name: $0.name, mountPoint: $0.mountPoint) },
                    noVolumeReason: why, environmentFile: apply.environmentFile,
                    isPersistent: isPersistent, probe: probe, proc: proc)
                let plan = EnvironmentPlan.make(facts)
                var problems: [String] = []
                if let volume {
                    let outcomes = VolumeDirectories.make(
                        plan.directories, at: volume.mountPoint, mountID: volume.mountID, probe: probe)
                    for (directory, outcome) in zip(plan.directories, outcomes) {
                        if case .failed(let reason) = outcome { problems.append("\(directory.path): \(reason)") }
                    }
                }
                do throws(LinuxError) {
                    problems += try apply.apply(plan, ready: volume != nil).problems
                } catch {
                    problems.append(error.description)
                }
                return (
                    "\(plan.variables.count + plan.userVariables.count) variables in \(apply.environmentFile)", problems
                )
            },
            runSetup: { volume, changed in
                do throws(LinuxError) {
                    return try SetupRunner(configuration: configuration, probe: probe, proc: proc).run(
                        volume: volume.map { .init(mountPoint: $0.mountPoint, mountID: $0.mountID) },
                        environment: setupEnvironment(
                            configuration, volume: volume, isPersistent: isPersistent, probe: probe, proc: proc),
                        changed: changed)
                } catch {
                    return SetupRecord(state: .failed, containerStart: "", reason: error.description)
                }
            },
            record: { report in
                // A report that cannot be written is seen by `status`, which finds no boot.json.
                try? AtomicFile.createDirectory(runtime)
                try? JSONFile.write(report, to: runtime + "/boot.json")
            })
    }

    /// PID 1's environment with the plan for root merged in: what setup.sh gets, at boot and by `setup run`.
    public static func setupEnvironment(
        _ configuration: AgentConfiguration, volume: BootVolume?, isPersistent: @escaping @Sendable (String) -> Bool,
        probe: ProbeProgram = .current, proc: String = "/proc"
    ) -> [String: String] {
        let usable = volume.flatMap {
            $0.state == .ready ? EnvironmentPlan.Volume(name: $0.name, mountPoint: $0.mountPoint) : nil
        }
        let facts = PodFacts.gather(
            settings: configuration.environment, volume: usable, findsPythons: false, isPersistent: isPersistent,
            probe: probe, proc: proc)
        let home = facts.container["HOME"] ?? "/root"
        return ExecEnvironment.merge(
            EnvironmentPlan.make(facts), into: facts.container, user: .init(uid: geteuid(), home: home))
    }
}

extension BootReport {
    /// The report of the last boot in this runtime directory; nil when there is none.
    public static func load(runtimeDirectory: String) -> BootReport? {
        guard let bytes = try? LocalFile.read(runtimeDirectory + "/boot.json", limit: 1 << 20) else { return nil }
        return try? JSONDecoder().decode(BootReport.self, from: Data(bytes))
    }
}

extension SetupRunner {
    /// The runner that a configuration describes, in the container that runs.
    public init(configuration: AgentConfiguration, probe: ProbeProgram = .current, proc: String = "/proc")
        throws(LinuxError)
    {
        var options = Options()
        options.runtimeDirectory = configuration.agent.runtimeDirectory
        options.script = configuration.setup.script
        options.allowedOwners = configuration.setup.allowedOwners.compactMap { UInt32(exactly: $0) }
        let seconds = configuration.setup.timeoutSeconds
        options.timeoutMilliseconds = seconds > 0 ? seconds * 1000 : nil
        self.init(options: options, start: try ContainerStart.read(proc: proc), probe: probe)
    }
}

/// Changes of the mounts.
public enum MountChange {
    /// Waits until a mount comes, goes or changes, at most so long (proc(5): poll on mountinfo answers with POLLERR and
    /// POLLPRI).
    public static func wait(milliseconds: Int, mountinfo: String = "/proc/self/mountinfo") {
        guard let file = try? Descriptor(opening: mountinfo, O_RDONLY) else {
            usleep(UInt32(min(max(0, milliseconds), 1000)) * 1000)
            return
        }
        // A change between the caller's look and the open above would be missed: look again after a second in any case.
        var poll = pollfd(fd: file.number, events: Int16(POLLPRI), revents: 0)
        Glibc.poll(&poll, 1, Int32(min(max(0, milliseconds), 1000)))
    }
}
