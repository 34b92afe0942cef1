import CLinux
import Glibc

/// A child process with a deadline: started by posix_spawn(3), waited for without ever blocking on a process that
/// cannot die. Blocks its caller: use it from a dedicated thread or the command line.
public final class ChildProcess: Sendable {
    /// What to start and with what.
    public struct Specification: Sendable {
        /// Absolute path of the program.
        public var executable: String
        /// Arguments without the program's own name.
        public var arguments: [String]
        /// The whole environment; nothing is inherited.
        public var environment: [String: String]
        /// Working directory; nil keeps the caller's.
        public var workingDirectory: String?
        /// Descriptors for standard input, output and error; nil is /dev/null.
        public var descriptors: (input: Int32?, output: Int32?, error: Int32?)
        /// Makes the child the leader of a new session (setsid(2)), so that its whole group can be signalled.
        public var newSession: Bool

        /// Describes a program to start.
        public init(
            executable: String, arguments: [String] = [], environment: [String: String],
            workingDirectory: String? = nil,
            descriptors: (input: Int32?, output: Int32?, error: Int32?) = (nil, nil, nil), newSession: Bool = true
        ) {
            self.executable = executable
            self.arguments = arguments
            self.environment = environment
            self.workingDirectory = workingDirectory
            self.descriptors = descriptors
            self.newSession = newSession
        }
    }

    /// How a process ended (wait(2)).
    public enum Termination: Sendable, Equatable {
        /// It ended by itself with this status, 0 to 255.
        case exited(Int32)
        /// A signal ended it.
        case signalled(Int32)

        /// The status a shell would show: 128 plus the signal number for a signal.
        public var shellStatus: Int32 {
            switch self {
            case .exited(let status): status
            case .signalled(let signal): 128 + signal
            }
        }
    }

    /// The process id, also its process group when it was started in a new session.
    public let pid: Int32
    private let pidDescriptor: Int32

    private init(pid: Int32) {
        self.pid = pid
        self.pidDescriptor = clinux_pidfd_open(pid)
    }

    deinit { if pidDescriptor >= 0 { close(pidDescriptor) } }

    /// Starts a process. Signals are unblocked and reset to their defaults in the child.
    public static func spawn(_ specification: Specification) throws(LinuxError) -> ChildProcess {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let wanted = specification.descriptors
        for (target, source) in [(0, wanted.input), (1, wanted.output), (2, wanted.error)] as [(Int32, Int32?)] {
            if let source {
                posix_spawn_file_actions_adddup2(&actions, source, target)
            } else {
                posix_spawn_file_actions_addopen(&actions, target, "/dev/null", target == 0 ? O_RDONLY : O_WRONLY, 0)
            }
        }
        if let directory = specification.workingDirectory { _ = clinux_spawn_chdir(&actions, directory) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        // POSIX_SPAWN_SETSID is 0x80 (spawn.h); glibc 2.26 or newer.
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (specification.newSession ? 0x80 : 0)
        posix_spawnattr_setflags(&attributes, Int16(flags))

        let arguments = [specification.executable] + specification.arguments
        let environment = specification.environment.map { "\($0.key)=\($0.value)" }
        var pid = pid_t()
        let result = withCStrings(arguments) { argv in
            withCStrings(environment) { envp in
                posix_spawn(&pid, specification.executable, &actions, &attributes, argv, envp)
            }
        }
        guard result == 0 else { throw LinuxError("start", specification.executable, code: result) }
        return ChildProcess(pid: pid)
    }

    /// Waits at most `milliseconds` (nil: for ever) for the end; nil when it still runs.
    public func wait(milliseconds: Int? = nil) -> Termination? { end(milliseconds: milliseconds)?.termination }

    private func end(milliseconds: Int?) -> (termination: Termination, cpuMicroseconds: UInt64)? {
        let deadline = milliseconds.map { Self.now() + Int64($0) }
        while true {
            var status: Int32 = 0
            var usage = rusage()
            let result = wait4(pid, &status, WNOHANG, &usage)
            if result == pid {
                let cpu = [usage.ru_utime, usage.ru_stime].map { UInt64($0.tv_sec) * 1_000_000 + UInt64($0.tv_usec) }
                // WIFEXITED, WEXITSTATUS and WTERMSIG of wait(2), which are macros.
                let end: Termination = status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .signalled(status & 0x7f)
                return (end, cpu[0] + cpu[1])
            }
            if result < 0 && errno != EINTR { return (.exited(255), 0) }
            let left = deadline.map { max(0, $0 - Self.now()) }
            if left == 0 { return nil }
            var poll = pollfd(fd: pidDescriptor, events: Int16(POLLIN), revents: 0)
            // Without pidfd_open(2) (old kernels, some sandboxes) look again every 5 ms.
            let pause = pidDescriptor >= 0 ? min(left ?? 60_000, 60_000) : min(left ?? 5, 5)
            Glibc.poll(&poll, pidDescriptor >= 0 ? 1 : 0, Int32(pause))
        }
    }

    /// Sends a signal to the process group of a process that was started in a new session.
    public func signalGroup(_ signal: Int32) { kill(-pid, signal) }

    /// What a finished or abandoned process left.
    public struct Captured: Sendable {
        /// How it ended; nil when it was still alive after the deadline and SIGKILL (a mount that does not answer).
        public let termination: Termination?
        /// True when the deadline passed.
        public let timedOut: Bool
        /// Standard output, cut at the limit.
        public let output: [UInt8]
        /// User and system time of the process and of its children that it waited for, in microseconds; 0 while it lives.
        public let cpuMicroseconds: UInt64
    }

    /// Runs a process, captures its standard output up to `limit` bytes, and kills its group at the deadline.
    ///
    /// Returns within `milliseconds` plus 100 ms even when the process cannot be killed; such a process is left behind
    /// with its number in ``Captured`` unreaped, because waiting for it would hang the caller too.
    public static func capture(
        _ specification: Specification, limit: Int = 1 << 20, milliseconds: Int
    ) throws(LinuxError) -> Captured {
        var ends: [Int32] = [0, 0]
        let made = clinux_pipe(&ends)
        guard made == 0 else { throw LinuxError("create pipe for", specification.executable, code: -made) }
        let reader = Descriptor(owning: ends[0])
        var specification = specification
        specification.descriptors.output = ends[1]
        let child: ChildProcess
        do {
            child = try spawn(specification)
            close(ends[1])
        } catch {
            close(ends[1])
            throw error
        }
        let deadline = now() + Int64(milliseconds)
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let left = deadline - now()
            var poll = pollfd(fd: reader.number, events: Int16(POLLIN), revents: 0)
            if left <= 0 || Glibc.poll(&poll, 1, Int32(left)) == 0 { break }
            let count = read(reader.number, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { break }
            output += buffer[0..<min(count, max(0, limit - output.count))]
        }
        if let end = child.end(milliseconds: Int(max(0, deadline - now()))) {
            return Captured(
                termination: end.termination, timedOut: false, output: output, cpuMicroseconds: end.cpuMicroseconds)
        }
        child.signalGroup(SIGKILL)
        let end = child.end(milliseconds: 100)
        return Captured(
            termination: end?.termination, timedOut: true, output: output, cpuMicroseconds: end?.cpuMicroseconds ?? 0)
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    private static func withCStrings<R>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
        let pointers = strings.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers)
    }
}
