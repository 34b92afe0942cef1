import Environment
public import Settings

/// Where the agent's files are (DESIGN, Files).
public struct AgentPaths: Sendable {
    /// Socket, env.sh, boot.json, setup logs.
    public let runtimeDirectory: String
    /// Spool, image baseline, change journal.
    public let stateDirectory: String

    /// The paths of a configuration.
    public init(_ configuration: AgentConfiguration) {
        runtimeDirectory = configuration.agent.runtimeDirectory
        stateDirectory = configuration.agent.stateDirectory
    }

    /// The daemon's socket.
    public var socket: String { runtimeDirectory + "/agent.sock" }
    /// What the boot pass did.
    public var boot: String { runtimeDirectory + "/boot.json" }
    /// Held by the process that boots, so that there is one.
    public var bootLock: String { runtimeDirectory + "/boot.lock" }
    /// How the volume's set-up script went.
    public var setup: String { runtimeDirectory + "/setup.json" }
    /// The control plane's last answer to a hello.
    public var hello: String { runtimeDirectory + "/hello.json" }
    /// Usage records that wait for delivery.
    public var spool: String { stateDirectory + "/spool" }
    /// What the daemon found by writing to the volumes.
    public var volumes: String { runtimeDirectory + "/volumes.json" }
    /// What would be lost, as the daemon last saw it; for root only, because it names the files of every user.
    public var atRisk: String { runtimeDirectory + "/at-risk.json" }
    /// The warnings that hold; for root only.
    public var warnings: String { runtimeDirectory + "/warnings.json" }
    /// What an interactive login shell shows (``LoginNotice``).
    public var login: String { EnvironmentApply(runtimeDirectory: runtimeDirectory).loginFile }
    /// Held by the daemon, so that there is one.
    public var lock: String { stateDirectory + "/lock" }
}
