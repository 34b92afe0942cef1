import CLinux
import FoundationEssentials
import Glibc
import LinuxKit

/// How a script's process is made of a child of ours: `setup-exec LAUNCH PROGRAM [ARGUMENT...]` becomes the script.
///
/// The child keeps its number and session, so that whoever started it waits for the script.
struct SetupLaunch: Codable, Equatable {
    /// Who it becomes; nil stays who it is.
    var user: SetupUser?
    /// The script's working directory: the volume.
    var directory: String

    /// Added to the out-of-memory score (proc_pid_oom_score_adj(5), -1000 to 1000): the kernel ends the script before the
    /// user's own work and the agent.
    static let outOfMemoryScore = 300
    /// Added to the nice value (setpriority(2)): the user's work goes first.
    static let nice: Int32 = 5

    /// The child's side. Returns only when the script could not be started: 126, or 127 when there is no such interpreter.
    static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count >= 2,
            let launch = try? JSONDecoder().decode(SetupLaunch.self, from: Data(arguments[0].utf8))
        else { return 64 }
        do {
            try launch.prepare()
        } catch {
            say("the script is not started: \(error)")
            return 126
        }
        let code = CStringArray.with(arguments.dropFirst().map { Array($0.utf8) }) { words in
            CStringArray.with(ProcessEnvironment.entries) { environment in
                clinux_execvpe(words.pointee, words, environment)
            }
        }
        say("\(TerminalText.escape(arguments[1])) cannot be run: \(String(cString: strerror(-code)))")
        return code == -ENOENT ? 127 : 126
    }

    private func prepare() throws(LinuxError) {
        // Both are a courtesy; a sandbox that refuses them does not stop the script.
        let score = "/proc/self/oom_score_adj"
        if let now = Int((try? LocalFile.readText(score, limit: 16))?.filter { !$0.isWhitespace } ?? ""),
            let file = try? Descriptor(opening: score, O_WRONLY)
        {
            try? file.writeAll("\(min(1000, now + Self.outOfMemoryScore))\n".utf8)
        }
        _ = Glibc.nice(Self.nice)
        umask(0o022)
        if let user, geteuid() == 0 {
            // The order of setuid(2): after the user id nothing else may be changed.
            guard setgroups(user.groups.count, user.groups) == 0 else {
                throw LinuxError("set groups of", user.name, code: errno)
            }
            guard setgid(user.gid) == 0 else { throw LinuxError("set group of", user.name, code: errno) }
            guard setuid(user.uid) == 0 else { throw LinuxError("become user", user.name, code: errno) }
        }
        // As the user: a server that maps root to nobody lets only the user in.
        guard chdir(directory) == 0 else { throw LinuxError("enter", directory, code: errno) }
        // What the agent ignores or blocks is not the script's (signal(7): both survive execve(2)).
        for number in 1...Int32(64) { signal(number, SIG_DFL) }
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
        // Everything of ours is close-on-exec; what a library opened may not be.
        clinux_close_from(3)
    }

    private static func say(_ text: String) {
        try? Descriptor(owning: dup(STDERR_FILENO)).writeAll("packet-agent: \(text)\n".utf8)
    }
}
