public import Environment
import FoundationEssentials
import Glibc
public import LinuxKit
public import Settings

extension BootRunner.Effects {
    /// The real effects.
    ///
    /// - Parameters:
    ///   - configuration: asked at each step, because the control plane may switch parts off.
    ///   - inspectMounts: looks at the volumes; Storage's answer in this room's words.
    ///   - isPersistent: whether data written at an absolute path survives the pod.
    ///   - root: put before `/etc`; for tests.
    public static func system(
        configuration: @escaping @Sendable () -> AgentConfiguration,
        inspectMounts: @escaping @Sendable () throws(LinuxError) -> MountFacts,
        isPersistent: @escaping @Sendable (String) -> Bool, probe: ProbeProgram = .current, root: String = "",
        proc: String = "/proc"
    ) -> BootRunner.Effects {
        let runtime = configuration().agent.runtimeDirectory
        let places = EnvironmentApply(configuration()).places
        return BootRunner.Effects(
            inspectMounts: inspectMounts,
            waitForMounts: { MountChange.wait(milliseconds: $0) },
            applyEnvironment: { volume, why in
                let configuration = configuration()
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
                let configuration = configuration()
                do throws(LinuxError) {
                    let runner = try SetupRunner(configuration: configuration, probe: probe, proc: proc)
                    return runner.runToTheEnd(
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
                // Both are read by shells, which start nothing and so need no agent that runs.
                if report.state.isFinal {
                    unlink(places.bootingFlag)
                } else if access(places.bootingFlag, F_OK) != 0 {
                    try? AtomicFile.write([], to: places.bootingFlag)
                }
                let login = places.bootLoginFile
                if let failure = report.failure {
                    try? AtomicFile.write(Array("\(TerminalText.escape(failure))\n".utf8), to: login)
                } else {
                    unlink(login)
                }
            })
    }

    /// PID 1's environment with the plan for a user merged in: what setup.sh gets, at boot and by `setup run`.
    public static func setupEnvironment(
        _ configuration: AgentConfiguration, volume: BootVolume?, isPersistent: @escaping @Sendable (String) -> Bool,
        probe: ProbeProgram = .current, proc: String = "/proc"
    ) -> (EnvironmentPlan.User) -> [String: String] {
        let usable = volume.flatMap {
            $0.state == .ready ? EnvironmentPlan.Volume(name: $0.name, mountPoint: $0.mountPoint) : nil
        }
        let facts = PodFacts.gather(
            settings: configuration.environment, volume: usable, findsPythons: false, isPersistent: isPersistent,
            probe: probe, proc: proc)
        let plan = EnvironmentPlan.make(facts)
        // What a manager says to its service alone (sd_notify(3)) is not for scripts.
        let container = facts.container.filter { !["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"].contains($0.key) }
        return { user in
            let home = user.uid == 0 ? container["HOME"] ?? user.home : user.home
            return ExecEnvironment.merge(plan, into: container, user: .init(uid: user.uid, home: home))
        }
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
        options.directory = configuration.setup.directory
        options.user = configuration.setup.user
        options.isStrict = configuration.setup.strict
        options.logLimit = configuration.setup.logLimitMiB << 20
        options.allowedOwners = configuration.setup.allowedOwners.compactMap { UInt32(exactly: $0) }
        let seconds = configuration.setup.timeoutSeconds
        options.timeoutMilliseconds = seconds > 0 ? seconds * 1000 : nil
        self.init(options: options, start: try ContainerStart.read(proc: proc), probe: probe)
    }
}

extension SetupRunner {
    /// As ``run(volume:environment:force:changed:)``, but also sees a run that an earlier agent left behind to its end, and
    /// then runs what has not had its turn.
    func runToTheEnd(
        volume: Volume?, environment: (EnvironmentPlan.User) -> [String: String], changed: (SetupRecord) -> Void
    ) -> SetupRecord {
        var record = run(volume: volume, environment: environment, changed: changed)
        while record.state.isRunning {
            changed(record)
            usleep(UInt32(options.pollMilliseconds) * 1000)
            let now = current()
            record = now.state.isRunning ? now : run(volume: volume, environment: environment, changed: changed)
        }
        return record
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
