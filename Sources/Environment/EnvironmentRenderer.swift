import FoundationEssentials
public import LinuxKit

/// Writes a plan in the languages of its readers.
///
/// The shell texts start no command, print nothing and never look at the volume: a dead mount would hang every login. They
/// test a local flag file instead. They set what is unset or empty, and overwrite the container's value only where the plan
/// replaces it, so that they can be read any number of times and dotfiles read later win.
public struct EnvironmentRenderer: Sendable {
    /// A language.
    public enum Format: String, Sendable, CaseIterable {
        /// POSIX shells and zsh.
        case sh
        /// fish.
        case fish
        /// `packet-agent/env/1`.
        case json
        /// python-dotenv, docker compose.
        case dotenv
        /// environment.d(5).
        case systemd
    }

    /// The plan to write.
    public let plan: EnvironmentPlan
    /// The user for whom formats without conditions are written.
    public let user: EnvironmentPlan.User
    /// A local file without which the shell texts do nothing; nil leaves the test out.
    public let readyFlag: String?
    /// How the layers stand, shown in JSON.
    public var layers: [LayerState] = []
    /// The rendered POSIX file, which BASH_ENV names in the lines for the pod specification.
    public var environmentFile: String?

    /// Prepares a plan for writing.
    public init(plan: EnvironmentPlan, user: EnvironmentPlan.User = .root, readyFlag: String?) {
        self.plan = plan
        self.user = user
        self.readyFlag = readyFlag
    }

    /// The text in one language, ending in a newline.
    public func render(_ format: Format) -> [UInt8] {
        switch format {
        case .sh: posix()
        case .fish: fish()
        case .json: json()
        case .dotenv: lines { Array($0.utf8) + [UInt8(ascii: "=")] + ShellQuoting.dotenv($1.utf8) }
        case .systemd:
            lines { name, value in
                guard let quoted = ShellQuoting.environmentD(value.utf8) else {
                    return Array("# \(name) is left out: systemd refuses its value".utf8)
                }
                return Array(name.utf8) + [UInt8(ascii: "=")] + quoted
            }
        }
    }

    private static let header =
        "# Written by packet-agent at every boot; changes are lost. `packet-agent env` explains it.\n"

    private func lines(_ line: (String, String) -> [UInt8]) -> [UInt8] {
        var text = Array(Self.header.utf8)
        for variable in plan.variables(for: user) { text += line(variable.name, variable.value) + [UInt8(ascii: "\n")] }
        return text
    }

    // MARK: POSIX

    private func posix() -> [UInt8] {
        let quote = { (text: String) in String(decoding: ShellQuoting.posix(text.utf8), as: UTF8.self) }
        var text = Self.header
        if let readyFlag { text += "if [ -e \(quote(readyFlag)) ]; then\n" }
        text += ":\n"
        for variable in plan.variables {
            let name = variable.name
            text += "# \(TerminalText.escape(variable.why))\n"
            switch variable.combination {
            case .set:
                let old = variable.replaces.map { "|" + quote($0) } ?? ""
                text += "case \"${\(name)-}\" in ''\(old)) \(name)=\(quote(variable.value)); export \(name) ;; esac\n"
            case .prepend:
                text += "case \":${\(name)-}:\" in *\(quote(":" + variable.value + ":"))*) ;; "
                text += "*) \(name)=\(quote(variable.value))\"${\(name):+:$\(name)}\"; export \(name) ;; esac\n"
            }
        }
        for variable in plan.userVariables {
            let name = variable.name
            text += "# \(TerminalText.escape(variable.why))\n"
            text += "case \"${\(name)-}\" in '') case \"${HOME-}\" in\n"
            for (home, value) in variable.valueByHome.sorted(by: { $0.key < $1.key }) {
                text += "\(quote(home))) \(name)=\(quote(value)); export \(name) ;;\n"
            }
            text += "/*) \(name)=\"${HOME%/}\"\(quote("/" + variable.underHome)); export \(name) ;;\nesac ;; esac\n"
        }
        if readyFlag != nil { text += "fi\n" }
        return Array(text.utf8)
    }

    // MARK: fish

    private func fish() -> [UInt8] {
        let quote = { (text: String) in String(decoding: ShellQuoting.fish(text.utf8), as: UTF8.self) }
        var text = Self.header
        if let readyFlag { text += "if test -e \(quote(readyFlag))\n" }
        for variable in plan.variables {
            let name = variable.name
            text += "# \(TerminalText.escape(variable.why))\n"
            switch variable.combination {
            case .set:
                let old = variable.replaces.map { " " + quote($0) } ?? ""
                text += "contains -- \"$\(name)\" ''\(old); and set -gx \(name) \(quote(variable.value))\n"
            case .prepend:
                text +=
                    "contains -- \(quote(variable.value)) $\(name); or set -gx --path \(name) \(quote(variable.value)) $\(name)\n"
            }
        }
        for variable in plan.userVariables {
            let name = variable.name
            text += "# \(TerminalText.escape(variable.why))\nif test -z \"$\(name)\"\n"
            for (home, value) in variable.valueByHome.sorted(by: { $0.key < $1.key }) {
                text += "test \"$HOME\" = \(quote(home)); and set -gx \(name) \(quote(value))\n"
            }
            text +=
                "test -z \"$\(name)\"; and test -n \"$HOME\"; and set -gx \(name) \"$HOME\"\(quote("/" + variable.underHome))\nend\n"
        }
        if readyFlag != nil { text += "end\n" }
        // The last test may be false, and a file that is sourced answers with it.
        return Array((text + "true\n").utf8)
    }

    // MARK: JSON

    /// The document of `packet-agent env --format json`.
    public struct Document: Codable, Sendable, Equatable {
        /// One variable.
        public struct Variable: Codable, Sendable, Equatable {
            /// Its value.
            public var value: String
            /// Why it is set.
            public var why: String
        }

        /// `packet-agent/env/1`.
        public var schema = "packet-agent/env/1"
        /// The volume's name; null when there is none.
        @Nullable public var volume: String?
        /// How each layer stands, in the order in which they are put in.
        public var layers: [LayerState]
        /// What the pod specification should set, by name: a process that is started directly in the container
        /// (`kubectl exec`) sees nothing else.
        public var podSpec: [String: String]
        /// What is set, by name.
        public var variables: [String: Variable]
        /// What is left alone, by name, with the reason.
        public var skipped: [String: String]

        private enum CodingKeys: String, CodingKey {
            case schema, volume, layers
            case podSpec = "pod_spec"
            case variables, skipped
        }
    }

    /// The plan as a document, for the user.
    public var document: Document {
        let variables = plan.variables(for: user).map { ($0.name, Document.Variable(value: $0.value, why: $0.why)) }
        return Document(
            volume: plan.volume?.name, layers: layers,
            podSpec: PodVariable.dictionary(plan, environmentFile: environmentFile),
            variables: Dictionary(variables) { first, _ in first },
            skipped: Dictionary(plan.skipped.map { ($0.name, $0.reason) }) { first, _ in first })
    }

    private func json() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        // Strings and dictionaries of strings always encode.
        return Array((try? encoder.encode(document)) ?? Data()) + [UInt8(ascii: "\n")]
    }
}
