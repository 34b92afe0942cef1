import CLinux
import Glibc
import LinuxKit

/// `packet-agent init -- CMD`: the first process of a container, or a stand-in for it.
///
/// One thread, nothing but system calls: it starts the command and the agent, passes signals on, reaps every orphan, and ends
/// as the command ends. What may fail or hang is in the agent, which is a child. It opens no file, reads no configuration
/// and keeps little memory.
public enum Entrypoint {
    /// What to start and how long to wait for it.
    public struct Options: Sendable {
        /// The agent's program; nil is this executable. Its file need not exist as long as /proc/self/exe does.
        public var agent: String?
        /// Arguments with which the agent writes an ``EnvironmentAnswer`` to standard output.
        public var question = ["probe", "command-environment"]
        /// Arguments with which the agent is the daemon.
        public var daemon = ["run"]
        /// Milliseconds that the command waits for its variables.
        public var answerMilliseconds: UInt64 = 3000
        /// Milliseconds that the daemon may take to end after SIGTERM; it needs at most 12 s.
        public var stopMilliseconds: UInt64 = 15_000
        /// Milliseconds before a daemon that crashed is started again the first time, doubled up to the longest pause.
        public var shortestPauseMilliseconds: UInt64 = 1000
        /// Milliseconds: the longest pause, and how long the daemon must run for the pause to be the shortest again.
        public var longestPauseMilliseconds: UInt64 = 60_000

        /// The defaults.
        public init() {}

        var limits: InitMachine.Limits {
            var limits = InitMachine.Limits()
            limits.answer = answerMilliseconds * 1_000_000
            limits.agentStop = stopMilliseconds * 1_000_000
            limits.restart.shortestPause = shortestPauseMilliseconds * 1_000_000
            limits.restart.longestPause = longestPauseMilliseconds * 1_000_000
            limits.restart.isStableAfter = longestPauseMilliseconds * 1_000_000
            return limits
        }
    }

    /// The command among the program's arguments: after `--`, or at once when the first word is no option. The words are
    /// those of execve(2), byte for byte; they need no /proc.
    ///
    /// - Parameter index: of the first word after `init`.
    /// - Returns: the command and its arguments with a nil at the end; nil when there is no command or an option comes
    ///   first, which the command line explains.
    public static func command(from index: Int) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? {
        // Not beyond the nil at the end.
        guard let words = clinux_arguments(), (0..<index).allSatisfy({ words[$0] != nil }), let first = words[index]
        else { return nil }
        if strcmp(first, "--") == 0 { return words[index + 1] == nil ? nil : words + index + 1 }
        return first[0] == 0x2d ? nil : words + index
    }

    /// True when the program's first argument is this word.
    public static func isAsked(by verb: String) -> Bool {
        guard let words = clinux_arguments(), words[0] != nil, let first = words[1] else { return false }
        return strcmp(first, verb) == 0
    }

    /// Runs until the command has ended. Call it before the process has a second thread.
    ///
    /// - Parameter command: the command and its arguments with a nil at the end, byte for byte as they came.
    /// - Returns: the command's status, 128 plus the signal's number when one ended it; 125 when no process could be started,
    ///   126 when the command is not executable, 127 when it is not found.
    public static func run(
        _ command: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, options: Options = Options()
    ) -> Int32 {
        // Ignored, children would vanish unreaped (wait(2)).
        signal(SIGCHLD, SIG_DFL)
        var all = sigset_t()
        sigfillset(&all)
        var mask = sigset_t()
        // Blocked signals wait for sigtimedwait(2), also in PID 1, which would not get them otherwise; a fault of our own ends
        // the process all the same.
        sigprocmask(SIG_BLOCK, &all, &mask)
        if getpid() != 1 { _ = clinux_set_subreaper() }
        var loop = InitLoop(command: command, mask: mask, options: options)
        return loop.run()
    }
}
