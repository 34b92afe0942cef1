import LinuxKit
import Settings

/// What every command starts from: the environment and the configuration.
struct Context {
    let configuration: AgentConfiguration
    let loaded: AgentConfiguration.Loaded

    /// Reads the configuration; mistakes are told in one line each and their defaults used.
    static func load() -> Context {
        let loaded = AgentConfiguration.load(environment: environment)
        for error in loaded.errors { Terminal.writeError("packet-agent: \(error)") }
        return Context(configuration: loaded.configuration, loaded: loaded)
    }

    /// The process's environment.
    static let environment = ProcessEnvironment.current
}
