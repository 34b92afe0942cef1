import ArgumentParser
import LinuxKit
import Settings

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Show or check the configuration.", subcommands: [Show.self, Check.self],
        defaultSubcommand: Show.self)

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show every key with its value and where the value comes from.")

        @Option(help: "Configuration file.") var file: String?

        func run() throws {
            let loaded = AgentConfiguration.load(path: file, environment: Context.environment)
            var section = ""
            for setting in Setting.all {
                if setting.section != section {
                    Terminal.write("\(section.isEmpty ? "" : "\n")[\(setting.section)]")
                    section = setting.section
                }
                let value = Self.toml(setting.value(in: loaded.configuration))
                Terminal.write(
                    "\(setting.name) = \(value)  # \(loaded.origins[setting.path] ?? "default"); \(setting.summary)")
            }
            try Check.report(loaded)
        }

        private static func toml(_ value: Setting.Value) -> String {
            func quoted(_ text: String) -> String {
                let escaped = text.unicodeScalars.map { scalar in
                    switch scalar {
                    case "\"", "\\": "\\\(scalar)"
                    case _ where TerminalText.escape(String(scalar)) != String(scalar):
                        "\\u" + String(String(0x10000 + scalar.value, radix: 16).dropFirst())
                    default: String(scalar)
                    }
                }
                return "\"\(escaped.joined())\""
            }
            return switch value {
            case .string(let text): quoted(text)
            case .integer(let number): String(number)
            case .boolean(let flag): String(flag)
            case .strings(let list): "[\(list.map(quoted).joined(separator: ", "))]"
            case .integers(let list): "[\(list.map(String.init).joined(separator: ", "))]"
            }
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check the configuration file and the PACKET_AGENT_* variables.",
            discussion: "Each mistake is one line, FILE:LINE:COLUMN: what is wrong. Exit status 1 when there is one.")

        @Option(help: "Configuration file.") var file: String?

        func run() throws {
            let loaded = AgentConfiguration.load(path: file, environment: Context.environment)
            try Self.report(loaded)
            Terminal.write("\(loaded.path): no mistakes")
        }

        static func report(_ loaded: AgentConfiguration.Loaded) throws {
            for error in loaded.errors { Terminal.writeError(error.description) }
            if !loaded.errors.isEmpty {
                throw Failure.failed(
                    "the configuration has \(loaded.errors.count) mistake(s); defaults are used for them")
            }
        }
    }
}
