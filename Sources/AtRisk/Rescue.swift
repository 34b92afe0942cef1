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
    ///   - packages: how the packages of the group differ from the image's.
    ///   - files: the files of the group; cut off above ``listLimit``.
    ///   - since: the change time from which files of the writable layer count.
    static func fix(
        for key: Grouping.Key, packages: [PackageChange], files: [BytePath], since: FileStatus.Time?, volume: BytePath?
    ) -> AtRiskFix? {
        guard let volume, let target = ShellWord.quote(volume), let source = ShellWord.quote(key.path) else {
            return nil
        }
        func changed(matching test: String? = nil, limit: Int = 16) -> AtRiskFix? {
            // Few files are named one by one, which is exact.
            let words = files.compactMap(ShellWord.quote)
            if files.count <= limit, words.count == files.count {
                return AtRiskFix(
                    command:
                        "mkdir -p \(target)/saved && cp -a --parents -t \(target)/saved -- \(words.joined(separator: " "))",
                    safe: true)
            }
            // Hidden files directly in a home directory are groups of their own, keys and tokens among them.
            let hidden = files.contains { $0.lastComponent.bytes.first == UInt8(ascii: ".") }
            let test = test ?? (key.isShallow && !hidden ? "! -name '.*'" : nil)
            return Self.changed(source, target, since, matching: test, isShallow: key.isShallow)
        }
        switch key.kind {
        case .secret, .pipCache, .compileCache:
            // Secrets do not belong on shared storage, and caches fill themselves again.
            return nil
        case .hubRepository: return copy(source, target, "huggingface/hub")
        case .preparedDatasets: return copy(source, target, "huggingface/datasets")
        case .modelCache: return copy(source, target, "models")
        case .dataset: return copy(source, target, "data")
        case .code, .unpushedCommits: return copy(source, target, "code")
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
            if packages.isEmpty { return changed() }
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
        case .checkpoint: return changed(matching: key.isShallow ? nil : "-path '*/checkpoint-*/*'")
        case .notebook: return changed(matching: "-name '*.ipynb'")
        case .dotfile:
            // A pattern for settings would copy keys and tokens too, which lie beside them.
            return files.count < listLimit ? changed(limit: listLimit) : nil
        case .other: return changed()
        }
    }

    private static func copy(_ source: String, _ volume: String, _ directory: String) -> AtRiskFix {
        AtRiskFix(command: "mkdir -p \(volume)/\(directory) && cp -a -- \(source) \(volume)/\(directory)/", safe: true)
    }

    /// The name of a file that lists what an environment holds.
    private static func list(_ environment: BytePath, _ ending: String) -> String? {
        ShellWord.quote(BytePath(bytes: environment.lastComponent.bytes + Array(ending.utf8)))
    }

    /// Files that are named in one command at most.
    static let listLimit = 200

    /// Copies what changed below a directory, with its path, below `saved` on the volume.
    private static func changed(
        _ source: String, _ volume: String, _ since: FileStatus.Time?, matching test: String?, isShallow: Bool
    ) -> AtRiskFix {
        var find = "find \(source) -xdev"
        if isShallow { find += " -maxdepth 1" }
        find += " '(' -type f -o -type l ')'"
        if let test { find += " \(test)" }
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
