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
    /// How the volume's set-up script went.
    public var setup: String { runtimeDirectory + "/setup.json" }
    /// The control plane's last answer to a hello.
    public var hello: String { runtimeDirectory + "/hello.json" }
    /// Usage records that wait for delivery.
    public var spool: String { stateDirectory + "/spool" }
    /// Held by the daemon, so that there is one.
    public var lock: String { stateDirectory + "/lock" }
}
