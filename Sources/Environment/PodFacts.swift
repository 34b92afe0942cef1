import LinuxKit
public import Settings

/// Reads what the plan needs to know of the pod.
public enum PodFacts {
    /// The PATH of a container whose configuration sets none (the default of container runtimes).
    public static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// PID 1's environment as it was at its start; empty when it may not be read.
    public static func containerEnvironment(proc: String = "/proc") -> [String: String] {
        (try? ProcessEnvironment.of(1, proc: proc)) ?? [:]
    }

    /// Root and the people in the text of /etc/passwd: user ids 1000 to 59999 (login.defs(5)) with an absolute home.
    public static func users(passwd: String) -> [EnvironmentPlan.User] {
        var users: [EnvironmentPlan.User] = []
        for line in passwd.split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count == 7, let uid = UInt32(fields[2]), uid == 0 || (1000..<60_000).contains(uid) else {
                continue
            }
            let home = String(fields[5])
            guard home.hasPrefix("/"), !users.contains(where: { $0.uid == uid || $0.home == home }) else { continue }
            users.append(EnvironmentPlan.User(uid: uid, home: home))
        }
        return users.contains { $0.uid == 0 } ? users : [.root] + users
    }

    /// The facts for a plan, with interpreters and the volume's `pip-packages` looked for in child processes.
    ///
    /// - Parameters:
    ///   - environmentFile: ``EnvironmentPlaces/environmentFile``, for BASH_ENV.
    ///   - findsPythons: whether to start every interpreter once to ask for its directories; only the layers need that.
    public static func gather(
        settings: AgentConfiguration.Environment, volume: EnvironmentPlan.Volume?, noVolumeReason: String? = nil,
        environmentFile: String = "/run/packet-agent/env.sh", findsPythons: Bool = true,
        isPersistent: @escaping @Sendable (String) -> Bool, probe: ProbeProgram = .current, proc: String = "/proc"
    ) -> EnvironmentPlan.Facts {
        var facts = EnvironmentPlan.Facts(
            volume: volume, container: containerEnvironment(proc: proc), isPersistent: isPersistent)
        if let noVolumeReason { facts.noVolumeReason = noVolumeReason }
        if !settings.enabled {
            facts.volume = nil
            facts.noVolumeReason = "switched off (environment.enabled)"
        }
        facts.keep = settings.keep
        facts.pythonPath = PythonPathRule(rawValue: settings.pythonPath) ?? .auto
        facts.users = users(passwd: (try? LocalFile.readText("/etc/passwd")) ?? "")
        if settings.bashEnvironment { facts.bashEnvironment = environmentFile }
        let path = facts.container["PATH"] ?? defaultPath
        if findsPythons {
            facts.pythons = PythonSites.find(
                path: path, homes: facts.users.map(\.home), isPersistent: isPersistent, probe: probe)
        }
        if let volume = facts.volume {
            facts.pythonPackages = .examine(volume.mountPoint + "/pip-packages", path: path, probe: probe)
        }
        return facts
    }
}
