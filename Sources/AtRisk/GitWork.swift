import Glibc
import LinuxKit
import Storage

/// Work in a git repository that exists nowhere else, as git itself tells it.
struct GitWork: Equatable, Sendable {
    /// Commits on branches that no remote branch has.
    var unpushedCommits = 0
    /// Files changed, added or not tracked; ignored files are not counted.
    var uncommittedFiles = 0
    /// Stashed changes.
    var stashes = 0

    /// True when a clone would have everything but ignored files.
    var isEmpty: Bool { self == GitWork() }

    /// `2 commits not pushed, 1 file not committed`.
    var text: String {
        func count(_ number: Int, _ one: String, _ many: String) -> String? {
            number == 0 ? nil : "\(number) \(number == 1 ? one : many)"
        }
        return [
            count(unpushedCommits, "commit not pushed", "commits not pushed"),
            count(uncommittedFiles, "file not committed", "files not committed"), count(stashes, "stash", "stashes"),
        ].compactMap { $0 }.joined(separator: ", ")
    }

    /// Asks git.
    ///
    /// The repository's own configuration can name programs that git starts, so it runs as the repository's owner, never
    /// with more rights, and with hooks and monitors off.
    ///
    /// - Parameters:
    ///   - directory: the directory that holds `.git`, as it is opened.
    ///   - milliseconds: how long git may take altogether.
    /// - Returns: nil when git is not installed, does not answer in time, or refuses.
    static func of(_ directory: BytePath, milliseconds: Int) -> GitWork? {
        let deadline = ContinuousClock.now + .milliseconds(milliseconds)
        guard let path = directory.text, let owner = try? FileStatus(path, mode: .cached) else { return nil }
        func git(_ arguments: [String]) -> [UInt8]? {
            let left = deadline - .now
            let (executable, prefix): (String, [String])
            if owner.uid == geteuid() {
                (executable, prefix) = ("/usr/bin/env", ["git"])
            } else if geteuid() == 0 {
                executable = "/usr/bin/setpriv"
                prefix = ["--reuid=\(owner.uid)", "--regid=\(owner.gid)", "--clear-groups", "--no-new-privs", "git"]
            } else {
                return nil
            }
            let captured = try? ChildProcess.capture(
                .init(
                    executable: executable,
                    arguments: prefix + [
                        "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", path,
                    ] + arguments,
                    // Without a home directory nobody's settings but the repository's count.
                    environment: [
                        "PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0",
                        "LC_ALL": "C",
                    ],
                    // The owner may not be allowed to be where this process is.
                    workingDirectory: "/"),
                limit: 8 << 20,
                milliseconds: max(
                    1, Int(left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000)))
            guard let captured, captured.termination == .exited(0) else { return nil }
            return captured.output
        }
        func number(_ output: [UInt8]) -> Int? { Int(String(decoding: output.filter { $0 != 0x0a }, as: UTF8.self)) }
        guard let status = git(["status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal"]),
            let references = git(["for-each-ref", "--format=%(refname)", "refs/heads", "refs/stash"])
        else { return nil }
        var work = GitWork(uncommittedFiles: status.count { $0 == 0 })
        let names = references.split(separator: 0x0a)
        if names.contains(where: { $0.starts(with: "refs/heads/".utf8) }) {
            guard
                let commits = git(["rev-list", "--count", "--branches", "HEAD", "--not", "--remotes"]).flatMap(number)
            else { return nil }
            work.unpushedCommits = commits
        }
        if names.contains(where: { $0.elementsEqual("refs/stash".utf8) }) {
            guard let stashes = git(["rev-list", "--count", "--walk-reflogs", "refs/stash"]).flatMap(number) else {
                return nil
            }
            work.stashes = stashes
        }
        return work
    }
}
