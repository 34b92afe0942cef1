import LinuxKit
import Storage

/// A command that saves a group, for sh.
public struct AtRiskFix: Codable, Sendable, Equatable {
    /// The command line.
    public let command: String
    /// True when it only adds files to the volume, needs no network and may be repeated.
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
    /// - Parameters:
    ///   - files: some files of the group, for those that are saved one by one.
    ///   - since: the change time from which files of the writable layer count.
    static func fix(
        for key: Grouping.Key, names: [String], since: FileStatus.Time?, volume: BytePath?
    ) -> AtRiskFix? {
        guard let volume, let target = ShellWord.quote(volume), let source = ShellWord.quote(key.path) else {
            return nil
        }
        switch key.kind {
        case .secret, .pipCache, .compileCache, .unpushedCommits:
            // Secrets do not belong on shared storage, and caches fill themselves again.
            return nil
        case .hubRepository: return copy(source, target, "huggingface/hub")
        case .preparedDatasets: return copy(source, target, "huggingface/datasets")
        case .modelCache: return copy(source, target, "models")
        case .dataset: return copy(source, target, "data")
        case .code: return copy(source, target, "code")
        case .virtualEnvironment:
            // A copied environment still points to its old place: keep the list of its packages.
            guard let python = ShellWord.quote(key.path.appending("bin/python")),
                let list = ShellWord.quote(BytePath(bytes: key.path.lastComponent.bytes + Array(".txt".utf8)))
            else { return nil }
            return AtRiskFix(
                command: "mkdir -p \(target)/envs && \(python) -m pip freeze > \(target)/envs/\(list)", safe: true)
        case .conda:
            guard let list = ShellWord.quote(BytePath(bytes: key.path.lastComponent.bytes + Array(".txt".utf8))) else {
                return nil
            }
            return AtRiskFix(
                command: "mkdir -p \(target)/envs && conda list --explicit -p \(source) > \(target)/envs/\(list)",
                safe: true)
        case .pipPackages:
            let wanted = names.compactMap { name -> String? in
                let parts = name.split(separator: " ")
                return parts.count == 2 ? ShellWord.quote(BytePath("\(parts[0])==\(parts[1])")) : nil
            }
            guard !wanted.isEmpty, wanted.count == names.count else { return files(source, target, since) }
            return AtRiskFix(
                command: "python3 -m pip install --target \(target)/pip-packages \(wanted.joined(separator: " "))",
                safe: false)
        case .distributionPackages:
            let wanted = names.compactMap { ShellWord.quote(BytePath($0)) }.joined(separator: " ")
            guard let line = ShellWord.quote(BytePath("apt-get update && apt-get install -y \(wanted)")) else {
                return nil
            }
            return AtRiskFix(command: "echo \(line) >> \(target)/setup.sh", safe: false)
        case .checkpoint: return key.isWhole ? copy(source, target, "checkpoints") : files(source, target, since)
        case .notebook: return files(source, target, since, name: "*.ipynb")
        case .dotfile: return files(source, target, since, name: ".*", depth: 1)
        case .other: return files(source, target, since)
        }
    }

    private static func copy(_ source: String, _ volume: String, _ directory: String) -> AtRiskFix {
        AtRiskFix(command: "mkdir -p \(volume)/\(directory) && cp -a -- \(source) \(volume)/\(directory)/", safe: true)
    }

    /// Copies what changed below a directory, with its path, below `saved` on the volume.
    private static func files(
        _ source: String, _ volume: String, _ since: FileStatus.Time?, name: String? = nil, depth: Int? = nil
    ) -> AtRiskFix {
        var find = "find \(source) -xdev"
        if let depth { find += " -maxdepth \(depth)" }
        find += " ! -type d"
        if let name { find += " -name '\(name)'" }
        // find asks for newer, the layer's rule is not older: one nanosecond makes no difference that anybody could see.
        if let since { find += " -newerct '@\(FileTime.format(since))'" }
        return AtRiskFix(
            command: "mkdir -p \(volume)/saved && \(find) -exec cp -a --parents -t \(volume)/saved -- {} +", safe: true)
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
