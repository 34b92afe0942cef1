import CLinux
import Effects
import Glibc
import LinuxKit

/// Carries out what ``InitMachine`` decides, and tells it what happened.
struct InitLoop: ~Copyable {
    private let command: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let mask: sigset_t
    private let options: Entrypoint.Options
    private let clock = SystemClock()
    private let terminal = ForegroundTerminal.find()
    private var machine: InitMachine
    private var pids: (question: Int32, command: Int32, agent: Int32) = (0, 0, 0)
    /// The process group of a command that has ended, until nobody is left in it.
    private var group: Int32 = 0
    /// The pipe that the question is answered through, and what came so far.
    private var pipe: Int32 = -1
    private var received: [UInt8] = []
    private var answer: EnvironmentAnswer?
    private var status: Int32?

    init(
        command: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, mask: sigset_t, options: Entrypoint.Options
    ) {
        self.command = command
        self.mask = mask
        self.options = options
        machine = InitMachine(limits: options.limits, ignored: Self.ignoredSignals())
    }

    /// Runs until the machine says with which status to end.
    mutating func run() -> Int32 {
        handle(.begin)
        while status == nil {
            waitForSignal()
            readAnswer()
            reap()
            if let deadline = machine.deadline, clock.boottime() >= deadline { handle(.tick) }
        }
        return status ?? 125
    }

    // MARK: What happens

    private mutating func waitForSignal() {
        var milliseconds: Int64 = -1
        if let deadline = machine.deadline {
            let now = clock.boottime()
            milliseconds = deadline > now ? Int64(clamping: (deadline - now) / 1_000_000 + 1) : 0
        }
        // A pipe holds 64 KiB (pipe(7)): a longer answer must be read while the question still runs.
        // The last of the command's group may be another's child, of whose end nothing is heard.
        if pipe >= 0 || group > 0 { milliseconds = milliseconds < 0 ? 50 : min(milliseconds, 50) }
        var signal = clinux_signal()
        guard clinux_wait_signal(milliseconds, &signal) == 0 else { return }
        if signal.number != SIGCHLD && signal.is_own == 0 { handle(.signal(signal.number)) }
    }

    private mutating func reap() {
        var ended = clinux_ended()
        while status == nil, clinux_peek_ended(&ended) == 1 {
            let end: ChildProcess.Termination = ended.is_signal == 1 ? .signalled(ended.value) : .exited(ended.value)
            // Until it is reaped, the number of the command's group cannot be another's.
            switch ended.pid {
            case pids.command:
                if let terminal { tcsetpgrp(terminal, getpgrp()) }
                handle(.ended(.command, end))
                group = pids.command
                pids.command = 0
            case pids.agent:
                pids.agent = 0
                handle(.ended(.agent, end))
            case pids.question:
                pids.question = 0
                readAnswer()
                answer = end == .exited(0) ? EnvironmentAnswer(parsing: received) : nil
                handle(.ended(.question, end, isAnswered: answer != nil))
            default: break
            }
            clinux_reap(ended.pid)
        }
        if group > 0, kill(-group, 0) != 0, errno == ESRCH {
            group = 0
            handle(.groupEnded)
        }
        if pids.command > 0 {
            let signal = clinux_stop_signal(pids.command)
            if signal > 0 { handle(.commandStopped(signal)) }
        }
    }

    private mutating func readAnswer() {
        guard pipe >= 0 else { return }
        var buffer = [UInt8](repeating: 0, count: 4096)
        // A pipe full of it, and then the rest of the world: a child that never stops writing must not be listened to for ever.
        for _ in 0..<64 {
            let count = read(pipe, &buffer, buffer.count)
            guard count > 0 else { return }
            // Beyond the limit it is refused as a whole, so that the rest need not be kept.
            if received.count <= EnvironmentAnswer.limit { received += buffer[..<count] }
        }
    }

    // MARK: What is done

    private mutating func handle(_ event: InitMachine.Event) {
        for action in machine.handle(event, now: clock.boottime()) where status == nil { perform(action) }
    }

    private mutating func perform(_ action: InitMachine.Action) {
        switch action {
        case .start(let child): start(child)
        case .signalCommand(let signal):
            if pids.command > 0 { kill(-pids.command, signal) }
        case .handTerminalOver:
            if pids.command > 0, let terminal, tcgetpgrp(terminal) == getpgrp() { tcsetpgrp(terminal, pids.command) }
        case .signalAgent(let signal): if pids.agent > 0 { kill(pids.agent, signal) }
        case .killQuestion: if pids.question > 0 { kill(-pids.question, SIGKILL) }
        case .suspend(let signal):
            if clinux_stop_own_group() == 0 { handle(.suspensionRefused(signal)) }
        case .say(let notice): say(notice.description)
        case .exit(let status): self.status = status
        }
    }

    private mutating func start(_ child: InitMachine.Child) {
        let pid: Int32
        switch child {
        case .question:
            pid = ask()
            pids.question = max(pid, 0)
        case .command:
            pid = startCommand()
            pids.command = max(pid, 0)
        case .agent:
            pid = startService(options.daemon, output: STDERR_FILENO)
            pids.agent = max(pid, 0)
        }
        handle(pid > 0 ? .started(child) : .notStarted(child, -pid))
        // What starting needed is not needed for the hours that follow.
        if child == .agent { clinux_drop_clean_pages() }
    }

    private mutating func ask() -> Int32 {
        var ends: [Int32] = [-1, -1]
        let made = clinux_pipe(&ends)
        guard made == 0 else { return made }
        pipe = ends[0]
        _ = fcntl(pipe, F_SETFL, O_NONBLOCK)
        defer { close(ends[1]) }
        return startService(options.question, output: ends[1])
    }

    private mutating func startCommand() -> Int32 {
        if pipe >= 0 { close(pipe) }
        pipe = -1
        received = []
        let answer = answer
        self.answer = nil
        let name = command[0].map { TerminalText.escape(bytes: CStringArray.bytes(of: $0)) } ?? ""
        return withUnsafePointer(to: mask) { mask in
            func start(_ environment: UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Int32 {
                name.withCString { name in
                    var description = clinux_start(
                        name: name, arguments: command, environment: environment, mask: mask,
                        terminal: terminal ?? -1, output: -1, is_service: 0)
                    return clinux_start(&description)
                }
            }
            guard let answer, !answer.entries.isEmpty else { return start(environ) }
            return CStringArray.with(answer.merged(into: ProcessEnvironment.entries), start)
        }
    }

    private func startService(_ arguments: [String], output: Int32) -> Int32 {
        // What a manager says to this process alone (sd_notify(3)) is the command's to answer.
        let environment = ProcessEnvironment.entries.filter { entry in
            !["NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="].contains { entry.starts(with: $0.utf8) }
        }
        let words = (["packet-agent"] + arguments).map { Array($0.utf8) }
        return CStringArray.with(words) { words in
            CStringArray.with(environment) { environment in
                func start(_ program: UnsafePointer<CChar>?) -> Int32 {
                    var description = clinux_start(
                        name: program, arguments: words, environment: environment, mask: nil, terminal: -1,
                        output: output, is_service: 1)
                    return clinux_start(&description)
                }
                guard let agent = options.agent else { return start(clinux_executable()) }
                return agent.withCString(start)
            }
        }
    }

    /// One line on standard error, unless nobody reads it: a full pipe must not stop the reaper.
    private func say(_ text: String) {
        var poll = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        // A pipe that is ready takes PIPE_BUF, 4096 bytes, at once (pipe(7)).
        guard Glibc.poll(&poll, 1, 0) == 1, poll.revents & Int16(POLLOUT) != 0 else { return }
        let line = Array("packet-agent: \(text)\n".utf8.prefix(4096))
        _ = write(STDERR_FILENO, line, line.count)
    }

    private static func ignoredSignals() -> Set<Int32> {
        var result: Set<Int32> = []
        // SIGRTMAX is 64 on every architecture but MIPS (signal(7)).
        for number in 1...Int32(64) where clinux_signal_is_ignored(number) == 1 { result.insert(number) }
        return result
    }
}
