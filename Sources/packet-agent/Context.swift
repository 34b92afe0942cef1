import AgentService
import Environment
import FoundationEssentials
import Glibc
import LinuxKit
import Settings

/// What every command starts from: the environment and the configuration.
enum Context {
    /// Reads the configuration, less what the control plane has switched off; mistakes are told in one line each and their
    /// defaults used.
    static func load() -> AgentConfiguration {
        let loaded = loadQuietly()
        for error in loaded.errors { Terminal.writeError("packet-agent: \(error)") }
        return loaded.configuration.allowedByControlPlane()
    }

    /// Reads the configuration for commands that show its mistakes themselves.
    static func loadQuietly() -> AgentConfiguration.Loaded { AgentConfiguration.load(environment: environment) }

    /// The process's environment.
    static let environment = ProcessEnvironment.current

    /// Whose variables a command started from here gets.
    static var environmentUser: EnvironmentPlan.User { .init(uid: geteuid(), home: environment["HOME"] ?? "/root") }

    /// PATH for commands of fixes: this program's own folder first, so that `packet-agent` is found.
    static var pathForFixes: String {
        let own = (try? LocalFile.linkTarget("/proc/self/exe")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let folder = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? "/usr/bin"
        return folder + ":" + (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin")
    }

    /// Paths of the command line as bytes: `CommandLine.arguments` repairs what is not UTF-8 and so names another file.
    static func bytes(of arguments: [String]) -> [[UInt8]] {
        var raw: [[UInt8]] = []
        for index in 0..<Int(CommandLine.argc) {
            if let pointer = CommandLine.unsafeArgv[index] {
                raw.append(CStringArray.bytes(of: pointer))
            }
        }
        return arguments.map { argument in
            raw.first { String(decoding: $0, as: UTF8.self) == argument } ?? Array(argument.utf8)
        }
    }

    static func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8]) throws -> T {
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
            throw Failure.cannot("the agent's answer is not understood; is another version running?")
        }
    }
}
