import Glibc
import LinuxKit

/// A mistake in the configuration, with the place where it is.
public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file, or the variable.
    public let source: String
    /// Line, from 1; nil for a variable.
    public let line: Int?
    /// Column, from 1; nil for a variable.
    public let column: Int?
    /// What is wrong and what is allowed.
    public let message: String

    /// `FILE:LINE:COLUMN: message`, as compilers write it.
    public var description: String {
        guard let line, let column else { return "\(source): \(message)" }
        return "\(source):\(line):\(column): \(message)"
    }
}

extension AgentConfiguration {
    /// The configuration of a machine and what is wrong with it.
    public struct Loaded: Sendable {
        /// Defaults, file and variables; a mistaken key keeps its default.
        public var configuration: AgentConfiguration
        /// Every mistake that was found.
        public var errors: [ConfigurationError]
        /// Where each value comes from, by ``Setting/path``; a missing entry is the default.
        public var origins: [String: String]
        /// The file; it may not exist.
        public var path: String
    }

    /// Reads the file (a missing one is empty) and the variables over it.
    ///
    /// Never fails as a whole: a part that cannot be understood is reported and its default stays, so that a typing error
    /// in one key does not take the pod's agent down.
    public static func load(path: String? = nil, environment: [String: String]) -> Loaded {
        let path = path ?? environment["PACKET_AGENT_CONFIG"] ?? defaultPath
        var loaded = Loaded(configuration: AgentConfiguration(), errors: [], origins: [:], path: path)
        do {
            loaded.read(String(decoding: try trustedContents(of: path), as: UTF8.self), source: path)
        } catch {
            if error.code != ENOENT {
                loaded.errors.append(.init(source: path, line: nil, column: nil, message: error.description))
            }
        }
        loaded.override(by: environment)
        return loaded
    }

    /// The file's bytes. Root reads no file that others could have written: what is in it names programs' users and places.
    private static func trustedContents(of path: String) throws(LinuxError) -> [UInt8] {
        let file = try Descriptor(opening: path, O_RDONLY | O_NONBLOCK)
        let status = try FileStatus(descriptor: file.number)
        let isOthers = status.uid != 0 || status.permissions & 0o002 != 0
        // What is written to /dev/null is not kept.
        let isKept = status.kind != .characterDevice
        if geteuid() == 0, isKept, isOthers || (status.permissions & 0o020 != 0 && status.gid != 0) {
            throw LinuxError(
                "use (others could have written it; chown root:root and chmod go-w mend that)", path, code: EPERM)
        }
        do throws(LinuxError) {
            return try file.readToEnd(limit: 1 << 20)
        } catch {
            throw LinuxError("read", path, code: error.code)
        }
    }

    /// Reads TOML text over the defaults.
    public static func read(_ text: String, source: String) -> Loaded {
        var loaded = Loaded(configuration: AgentConfiguration(), errors: [], origins: [:], path: source)
        loaded.read(text, source: source)
        return loaded
    }
}

extension AgentConfiguration.Loaded {
    fileprivate mutating func read(_ text: String, source: String) {
        let document: TOMLDocument
        do throws(TOMLDocument.SyntaxError) { document = try TOMLDocument(text) } catch {
            report(error.place, TerminalText.escape(error.message), in: source)
            return
        }
        let sections = Set(Setting.all.map(\.section))
        for entry in document.entries {
            let section = entry.path[0]
            let shown = TerminalText.escape(section)
            guard sections.contains(section) else {
                let hint = Self.suggestion(section, in: Array(sections))
                report(entry.place, "unknown table or key \"\(shown)\"\(hint)", in: source)
                continue
            }
            guard entry.path.count > 1 else {
                if entry.value != .table {
                    report(entry.place, "\"\(shown)\" must be a table: write [\(shown)]", in: source)
                }
                continue
            }
            let settings = Setting.all.filter { $0.section == section }
            let key = entry.path.dropFirst().joined(separator: ".")
            guard let setting = settings.first(where: { $0.name == key }) else {
                let hint = Self.suggestion(key, in: settings.map(\.name))
                report(entry.place, "unknown key \"\(TerminalText.escape(key))\" in [\(shown)]\(hint)", in: source)
                continue
            }
            do throws(Setting.Refusal) {
                guard let value = Self.value(entry.value) else {
                    throw .init(reason: "has a type that is not used here")
                }
                try setting.set(&configuration, value)
                origins[setting.path] = source
            } catch {
                report(entry.place, "\(setting.path) \(TerminalText.escape(error.reason))", in: source)
            }
        }
    }

    private mutating func report(_ place: TOMLDocument.Place, _ message: String, in source: String) {
        errors.append(.init(source: source, line: place.line, column: place.column, message: message))
    }

    fileprivate mutating func override(by environment: [String: String]) {
        for setting in Setting.all {
            guard let text = environment[setting.variable] else { continue }
            do throws(Setting.Refusal) {
                try setting.set(&configuration, try setting.parse(text))
                origins[setting.path] = setting.variable
            } catch {
                errors.append(
                    .init(
                        source: setting.variable, line: nil, column: nil, message: TerminalText.escape(error.reason)))
            }
        }
        let known = Set(Setting.all.map(\.variable) + ["PACKET_AGENT_CONFIG"])
        for name in environment.keys.sorted() where name.hasPrefix("PACKET_AGENT_") && !known.contains(name) {
            errors.append(.init(source: TerminalText.escape(name), line: nil, column: nil, message: "no such setting"))
        }
    }

    private static func value(_ value: TOMLDocument.Value) -> Setting.Value? {
        switch value {
        case .string(let text): return .string(text)
        case .boolean(let flag): return .boolean(flag)
        case .integer(let number): return .integer(number)
        case .array(let values):
            let texts = values.compactMap { if case .string(let text) = $0 { text } else { nil } }
            if texts.count == values.count { return .strings(texts) }
            let numbers = values.compactMap { if case .integer(let number) = $0 { number } else { nil } }
            return numbers.count == values.count ? .integers(numbers) : nil
        case .table, .other: return nil
        }
    }

    // The nearest name within two edits, so that a typing error is answered with the right word.
    private static func suggestion(_ word: String, in candidates: [String]) -> String {
        func distance(_ a: [Character], _ b: [Character]) -> Int {
            var row = Array(0...b.count)
            for (i, x) in a.enumerated() {
                var previous = row[0]
                row[0] = i + 1
                for (j, y) in b.enumerated() {
                    let cost = min(previous + (x == y ? 0 : 1), row[j] + 1, row[j + 1] + 1)
                    previous = row[j + 1]
                    row[j + 1] = cost
                }
            }
            return row[b.count]
        }
        let nearest = candidates.map { ($0, distance(Array(word), Array($0))) }.min { $0.1 < $1.1 }
        guard let (name, edits) = nearest, edits <= 2 else { return "" }
        return "; did you mean \"\(name)\"?"
    }
}
