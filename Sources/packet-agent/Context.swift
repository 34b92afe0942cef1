import Glibc
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

    /// The process's environment; of two values of one name the first counts, as for getenv(3).
    static let environment: [String: String] = {
        var result: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "="), result[String(text[..<equals])] == nil {
                result[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            next += 1
        }
        return result
    }()
}
