import LinuxKit
import Storage

/// A command that saves a group, for sh.
public struct AtRiskFix: Codable, Sendable, Equatable {
    /// The command line.
    public let command: String
    /// True when nothing is lost by it, it needs no network and may be repeated.
    public let safe: Bool

    /// Makes a fix.
    public init(command: String, safe: Bool) {
        self.command = command
        self.safe = safe
    }
}

/// Writes the commands that save a group to a volume.
enum Rescue {
    /// The command for a group; nil when there is no volume, no need, or no good way yet.
    ///
    /// - Parameter packages: how the packages of the group differ from the image's.
    static func fix(for key: Grouping.Key, packages: [PackageChange], volume: BytePath?) -> AtRiskFix? {
        guard let volume, let target = ShellWord.quote(volume), let source = ShellWord.quote(key.path) else {
            return nil
        }
        switch key.kind {
        case .secret, .pipCache, .compileCache:
            // Secrets do not belong on shared storage, and caches fill themselves again.
            return nil
        case .hubRepository, .preparedDatasets, .modelCache, .dataset, .code, .unpushedCommits, .checkpoint, .notebook:
            return move(key)
        // Programs find their settings and each other where they are: a copy on the volume is enough.
        case .dotfile, .other: return move(key, "--copy")
        case .virtualEnvironment:
            // A copied environment still points to its old place: keep the list of its packages.
            guard let python = ShellWord.quote(key.path.appending("bin/python")), let list = list(key.path, ".txt")
            else {
                return nil
            }
            // An environment that uv made has no pip of its own; another one can look into it.
            let freeze = "{ \(python) -m pip freeze || python3 -m pip --python \(python) freeze; }"
            return AtRiskFix(command: "mkdir -p \(target)/envs && \(freeze) > \(target)/envs/\(list)", safe: true)
        case .conda:
            guard let list = list(key.path, ".yml") else { return nil }
            return AtRiskFix(
                command: "mkdir -p \(target)/envs && conda env export -p \(source) > \(target)/envs/\(list)", safe: true
            )
        case .pipPackages:
            if packages.isEmpty { return move(key, "--copy") }
            let wanted = packages.compactMap { package in
                package.new.flatMap { ShellWord.quote(BytePath("\(package.name)==\($0)")) }
            }
            // A package that was only removed is nothing to save.
            guard !wanted.isEmpty, wanted.count == packages.count(where: { $0.new != nil }) else { return nil }
            return AtRiskFix(
                command: "python3 -m pip install --target \(target)/pip-packages \(wanted.joined(separator: " "))",
                safe: false)
        case .distributionPackages:
            let wanted = packages.filter { $0.new != nil }.compactMap { ShellWord.quote(BytePath($0.name)) }
            guard !wanted.isEmpty,
                let line = ShellWord.quote(
                    BytePath("apt-get update && apt-get install -y \(wanted.joined(separator: " "))"))
            else { return nil }
            return AtRiskFix(command: "echo \(line) >> \(target)/setup.sh", safe: false)
        }
    }

    private static func move(_ key: Grouping.Key, _ option: String = "") -> AtRiskFix? {
        ShellWord.quote(BytePath(key.id)).map {
            AtRiskFix(command: "packet-agent move \($0)\(option.isEmpty ? "" : " \(option)")", safe: true)
        }
    }

    /// The name of a file that lists what an environment holds.
    private static func list(_ environment: BytePath, _ ending: String) -> String? {
        ShellWord.quote(BytePath(bytes: environment.lastComponent.bytes + Array(ending.utf8)))
    }
}

/// Words for sh.
enum ShellWord {
    /// The word, quoted where it has to be; nil when it cannot be shown as text that a person can copy.
    static func quote(_ word: BytePath) -> String? {
        guard let text = word.text, !text.isEmpty, TerminalText.escape(text) == text else { return nil }
        let plain = text.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                || "/._-+=:@%,".utf8.contains(byte)
        }
        if plain { return text }
        return "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
