import Environment
import FoundationEssentials
import Glibc
import LinuxKit
import Testing

/// The facts of a pod with an interpreter and a second user.
func podFacts(
    _ container: [String: String] = [:], volume: EnvironmentPlan.Volume? = volume
) -> EnvironmentPlan.Facts {
    var facts = facts(container, volume: volume)
    facts.users = [.root, .init(uid: 1000, home: "/home/ann")]
    facts.pythons = [
        PythonSite(
            interpreter: "/usr/bin/python3", version: .init(3, 11), siteDirectory: "/usr/lib/python3/dist-packages")
    ]
    return facts
}

/// What is at a path, as far as somebody could miss it.
struct TreeEntry: Equatable {
    enum Contents: Equatable {
        case file([UInt8])
        case link([UInt8])
        case directory
    }

    let contents: Contents
    let uid: UInt32
    let gid: UInt32
    let mode: UInt32
    /// Of files; a directory's changes with what is in it.
    let modified: FileStatus.Time?
    let attributes: [String: [UInt8]]
}

/// A root file system with everything that layers look for, in a scratch directory.
struct ScratchPod {
    let scratch: Scratch
    var path: String { scratch.path }
    var apply: EnvironmentApply { apply() }

    init() throws { try self.init(Scratch()) }

    /// - Parameter scratch: filled unless it holds a pod already.
    init(_ scratch: Scratch) throws {
        self.scratch = scratch
        guard access(scratch.path + "/etc", F_OK) != 0 else { return }
        for directory in [
            "etc/profile.d", "etc/zsh", "etc/fish/conf.d", "etc/pam.d", "etc/ssh/sshd_config.d", "etc/systemd",
            "lib/systemd", "root/.cache/torch/hub", "home/ann", "opt/conda/condabin", "usr/lib/python3/dist-packages",
        ] { try AtomicFile.createDirectory("\(path)/\(directory)") }
        for (name, text) in [
            ("etc/bash.bashrc", "[ -z \"$PS1\" ] && return\nPS1='$ '\n"), ("etc/zsh/zshenv", "# zsh"),
            ("etc/environment", "LANG=C.UTF-8\nKERAS_HOME=/mine\n"),
            ("etc/pip.conf", "[install]\nuser = no\n[global]\ntimeout = 60"),
            (
                "etc/ssh/sshd_config",
                "Include \(path)/etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nSetEnv \"A=x y\" TORCH_HOME=/t\n"
            ),
            ("lib/systemd/systemd", ""), ("opt/conda/condabin/conda", ""), ("root/.bashrc", "alias x=y\n"),
        ] {
            let file = "\(path)/\(name)"
            try AtomicFile.write(text.utf8, to: file, mode: 0o640)
            let descriptor = try Descriptor(opening: file, O_RDONLY)
            let old = FileStatus.Time(seconds: 1_500_000_000, nanoseconds: 123_456_789)
            try AtomicFile.set(.init(accessed: old, modified: old), descriptor: descriptor.number)
        }
    }

    func apply(disabled: [String] = []) -> EnvironmentApply {
        EnvironmentApply(runtimeDirectory: path + "/run", disabled: disabled, root: path)
    }

    /// Everything but the agent's own directories.
    func tree() throws -> [String: TreeEntry] {
        var entries: [String: TreeEntry] = [:]
        try add("", to: &entries)
        return entries
    }

    private func add(_ relative: String, to entries: inout [String: TreeEntry]) throws {
        for name in try names(path + relative) where !["/run", "/var"].contains(relative + "/" + name) {
            let child = relative + "/" + name
            let status = try FileStatus(path + child)
            let contents: TreeEntry.Contents
            var attributes: [String: [UInt8]] = [:]
            switch status.kind {
            case .directory: contents = .directory
            case .symbolicLink: contents = .link(try LocalFile.linkTarget(path + child))
            default:
                let file = try Descriptor(opening: path + child, O_RDONLY | O_NOFOLLOW)
                contents = .file(try file.readToEnd())
                attributes = try ExtendedAttributes.read(descriptor: file.number)
            }
            let isFile = if case .file = contents { true } else { false }
            entries[child] = TreeEntry(
                contents: contents, uid: status.uid, gid: status.gid, mode: status.permissions,
                modified: isFile ? status.modified : nil, attributes: attributes)
            if case .directory = contents { try add(child, to: &entries) }
        }
    }

    private func names(_ directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    }
}

/// Records an issue for each path that differs.
func expectSame(
    _ left: [String: TreeEntry], _ right: [String: TreeEntry], _ comment: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    for path in Set(left.keys).union(right.keys).sorted() where left[path] != right[path] {
        Issue.record(
            "\(comment) \(path): \(left[path].map { "\($0)" } ?? "nothing") is not \(right[path].map { "\($0)" } ?? "nothing")",
            sourceLocation: sourceLocation)
    }
}
