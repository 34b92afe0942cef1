import Glibc
public import LinuxKit

/// Puts a plan into the pod and takes it out again.
///
/// Writes local files only. Running it twice changes nothing; ``revert()`` removes exactly what it made.
public struct EnvironmentApply: Sendable {
    /// A file that would change.
    public struct FileChange: Sendable, Equatable {
        /// Its path.
        public let path: String
        /// Its contents now; nil when there is none.
        public let old: [UInt8]?
        /// Its contents then; nil when it is removed.
        public let new: [UInt8]?
    }

    /// What was done.
    public struct Result: Sendable, Equatable {
        /// Files that were written or removed.
        public var changed: [String] = []
        /// Files that were left alone although they should change, and why.
        public var left: [String] = []
    }

    /// The file that the daemon keeps while the volume answers; the rendered shell texts test it.
    public let readyFlag: String
    /// The one rendered POSIX file.
    public let environmentFile: String
    /// What an interactive login shell shows: lines of a time and a text, kept by the daemon.
    public let loginFile: String
    /// The login shells' file with our block.
    public let profileFile: String

    /// Chooses the places.
    ///
    /// - Parameters:
    ///   - runtimeDirectory: `agent.runtime_directory`, local.
    ///   - root: put before `/etc/profile.d`; for tests.
    public init(runtimeDirectory: String = "/run/packet-agent", root: String = "") {
        readyFlag = runtimeDirectory + "/volume.ready"
        environmentFile = runtimeDirectory + "/env.sh"
        loginFile = runtimeDirectory + "/login"
        profileFile = root + "/etc/profile.d/packet-agent.sh"
    }

    /// The path that programs of this room and the command line use for a plan.
    public func renderer(_ plan: EnvironmentPlan, user: EnvironmentPlan.User = .root) -> EnvironmentRenderer {
        EnvironmentRenderer(plan: plan, user: user, readyFlag: readyFlag)
    }

    /// What ``apply(_:)`` would change: `env apply --dry-run`. Files that must be left alone are in the second part.
    public func changes(for plan: EnvironmentPlan) throws(LinuxError) -> (changes: [FileChange], left: [String]) {
        var left: [String] = []
        var wanted = [
            FileChange(path: environmentFile, old: try contents(environmentFile), new: renderer(plan).render(.sh))
        ]
        let profile = try contents(profileFile)
        if access(directory(of: profileFile), F_OK) != 0 {
            left.append("\(profileFile): there is no \(directory(of: profileFile))")
        } else if let new = MarkedBlock.put(profileBody, into: profile) {
            wanted.append(FileChange(path: profileFile, old: profile, new: new))
        } else {
            left.append("\(profileFile): the packet-agent block was edited; remove it to get a new one")
        }
        return (wanted.filter { $0.old != $0.new }, left)
    }

    /// What ``revert()`` would change.
    public func revertChanges() throws(LinuxError) -> (changes: [FileChange], left: [String]) {
        var left: [String] = []
        var wanted: [FileChange] = []
        if let old = try contents(environmentFile) {
            wanted.append(FileChange(path: environmentFile, old: old, new: nil))
        }
        if let old = try contents(profileFile) {
            if let new = MarkedBlock.remove(from: old) {
                wanted.append(FileChange(path: profileFile, old: old, new: new))
            } else {
                left.append("\(profileFile): the packet-agent block was edited; remove it by hand")
            }
        }
        return (wanted.filter { $0.old != $0.new }, left)
    }

    /// Writes the files. Call it after the plan's directories were made (``VolumeDirectories``).
    @discardableResult
    public func apply(_ plan: EnvironmentPlan) throws(LinuxError) -> Result {
        try AtomicFile.createDirectory(directory(of: environmentFile))
        let (changes, left) = try changes(for: plan)
        return try perform(changes, left)
    }

    /// Removes what ``apply(_:)`` wrote.
    @discardableResult
    public func revert() throws(LinuxError) -> Result {
        let (changes, left) = try revertChanges()
        return try perform(changes, left)
    }

    /// Says that the volume answers (or no longer does), which switches the variables on (or off) for new shells.
    public func setReady(_ ready: Bool) throws(LinuxError) {
        if ready {
            try AtomicFile.createDirectory(directory(of: readyFlag))
            try AtomicFile.write([], to: readyFlag)
        } else if unlink(readyFlag) != 0 && errno != ENOENT {
            throw LinuxError("remove", readyFlag, code: errno)
        }
    }

    private func perform(_ changes: [FileChange], _ left: [String]) throws(LinuxError) -> Result {
        var result = Result(left: left)
        for change in changes {
            if let new = change.new {
                try AtomicFile.write(new, to: change.path)
            } else if unlink(change.path) != 0 && errno != ENOENT {
                throw LinuxError("remove", change.path, code: errno)
            }
            result.changed.append(change.path)
        }
        return result
    }

    private var profileBody: [UInt8] {
        let path = String(decoding: ShellQuoting.posix(environmentFile.utf8), as: UTF8.self)
        let login = String(decoding: ShellQuoting.posix(loginFile.utf8), as: UTF8.self)
        // Interactive shells only, and with the shell's own means: no login waits for a program of ours or for a volume.
        return Array(
            """
            if [ -r \(path) ]; then . \(path); fi
            case $- in *i*) if [ -s \(login) ]; then
                while read -r packet_agent_at packet_agent_text; do
                    case $packet_agent_at in '' | *[!0-9]*) continue ;; esac
                    packet_agent_at=$(((${EPOCHSECONDS:-$(date +%s)} - packet_agent_at) / 60))
                    if [ "$packet_agent_at" -gt 0 ]; then
                        packet_agent_text="$packet_agent_text ($packet_agent_at min ago)"
                    fi
                    printf '%s\\n' "$packet_agent_text"
                done <\(login)
                unset packet_agent_at packet_agent_text
            fi ;; esac

            """.utf8)
    }

    private func contents(_ path: String) throws(LinuxError) -> [UInt8]? {
        do throws(LinuxError) {
            return try LocalFile.read(path)
        } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return nil }
            throw error
        }
    }

    private func directory(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }
}
