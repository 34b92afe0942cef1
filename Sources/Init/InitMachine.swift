import Glibc
import LinuxKit

/// What the entrypoint does next, as a pure state machine: signals, ended children and time in; starts, signals and the exit
/// status out. ``InitLoop`` carries it out.
///
/// The command is started once, after the environment question was answered or its time is up. The agent is its sibling: it
/// may crash and is started again; it is asked to end when the command has ended, and the entrypoint ends after both and what
/// is left of the command's group.
struct InitMachine: Sendable {
    /// The processes it knows; everything else that it reaps are orphans.
    enum Child: Sendable, Equatable {
        /// Answers which variables the command gets.
        case question
        /// What the user wants to run.
        case command
        /// `packet-agent run`.
        case agent
    }

    enum Event: Sendable, Equatable {
        /// The entrypoint begins.
        case begin
        /// A signal for the entrypoint; SIGCHLD never.
        case signal(Int32)
        /// A child ended; a question with an answer that was understood, or without.
        case ended(Child, ChildProcess.Termination, isAnswered: Bool = false)
        /// The command has ended and nobody is left of its process group.
        case groupEnded
        /// The command was stopped by this signal.
        case commandStopped(Int32)
        /// The kernel did not stop the entrypoint's own group, because nobody could continue it; why it was to be stopped.
        case suspensionRefused(Int32)
        /// A child runs.
        case started(Child)
        /// A child could not be started (errno(3)).
        case notStarted(Child, Int32)
        /// Time went by.
        case tick
    }

    enum Action: Sendable, Equatable {
        case start(Child)
        /// To the command's process group.
        case signalCommand(Int32)
        /// Give the terminal to the command's process group, if it is ours to give: after `fg` the shell gave it to us.
        case handTerminalOver
        /// To the agent alone: what it started is its own to end.
        case signalAgent(Int32)
        /// SIGKILL to the question and what it started.
        case killQuestion
        /// Stop the own process group, so that the shell above sees that the command was stopped by this signal.
        case suspend(Int32)
        case say(Notice)
        case exit(Int32)
    }

    /// What a person is told, one line each.
    enum Notice: Sendable, Equatable, CustomStringConvertible {
        case noEnvironment(reason: String)
        case commandNotStarted(Int32)
        case agentEnded(ChildProcess.Termination, againInSeconds: UInt64)
        case agentNotStarted(Int32, againInSeconds: UInt64)
        case agentLeft
        case agentKilled

        var description: String {
            switch self {
            case .noEnvironment(let reason):
                "the command starts with the container's variables only: \(reason); see packet-agent doctor"
            case .commandNotStarted(let code): "cannot start a process: \(String(cString: strerror(code)))"
            case .agentEnded(.exited(let status), let seconds):
                "the agent ended with status \(status); it is started again in \(seconds) s"
            case .agentEnded(.signalled(let signal), let seconds):
                "the agent was ended by signal \(signal); it is started again in \(seconds) s"
            case .agentNotStarted(let code, let seconds):
                "cannot start the agent: \(String(cString: strerror(code))); tried again in \(seconds) s"
            case .agentLeft: "the agent cannot run and is left off; packet-agent config check may say why"
            case .agentKilled: "the agent did not end in time and was killed"
            }
        }
    }

    /// Times in nanoseconds.
    struct Limits: Sendable {
        /// How long the command waits for its variables.
        var answer: UInt64 = 3_000_000_000
        /// How long the agent may take to make its records durable and deliver them; its own limit is 12 s.
        var agentStop: UInt64 = 15_000_000_000
        /// How long those that the command left in its group may take to end after SIGTERM.
        var groupStop: UInt64 = 2_000_000_000
        /// How long a killed agent is waited for: it may hang in a driver.
        var afterKill: UInt64 = 1_000_000_000
        var restart = AgentRestart.Limits()
    }

    private enum State: Equatable {
        case asking(deadline: UInt64)
        case running
        case stopping(Stop)
        case done
    }

    /// The command has ended with this status; what else is waited for until when, nil when it has ended or is given up.
    private struct Stop: Equatable {
        let status: Int32
        var group: UInt64?
        var agent: UInt64?
        var isAgentKilled = false

        var deadline: UInt64? { [group, agent].compactMap(\.self).min() }
    }

    private enum Agent: Equatable {
        case absent
        case running(since: UInt64)
        case waiting(until: UInt64)
    }

    private let limits: Limits
    private let ignored: Set<Int32>
    private var state = State.asking(deadline: .max)
    private var agent = Agent.absent
    private var restart: AgentRestart
    /// A stop signal was forwarded, so that the command is stopped because somebody asked for it.
    private var isStopForwarded = false

    /// - Parameter ignored: signals that were ignored when the entrypoint started (nohup(1)).
    init(limits: Limits = Limits(), ignored: Set<Int32> = []) {
        self.limits = limits
        self.ignored = ignored
        restart = AgentRestart(limits: limits.restart)
    }

    /// When ``Event/tick`` is due, on the clock of `now`; nil when nothing is waited for.
    var deadline: UInt64? {
        switch (state, agent) {
        case (.asking(let deadline), _): deadline
        case (.stopping(let stop), _): stop.deadline
        case (.running, .waiting(let until)): until
        default: nil
        }
    }

    /// True until the command's variables are known or given up.
    var isAsking: Bool { if case .asking = state { true } else { false } }

    mutating func handle(_ event: Event, now: UInt64) -> [Action] {
        switch event {
        case .begin:
            state = .asking(deadline: now + limits.answer)
            return [.start(.question)]
        case .signal(let signal): return handle(signal: signal)
        case .ended(.question, let end, let isAnswered):
            guard isAsking else { return [] }
            return startCommand(without: isAnswered ? nil : Self.reason(end))
        case .ended(.command, let end, _): return stop(status: end.shellStatus, now: now)
        case .ended(.agent, let end, _): return agentEnded(end, now: now)
        case .groupEnded:
            guard case .stopping(var stop) = state else { return [] }
            stop.group = nil
            return goOn(stop)
        case .commandStopped(let signal):
            let isMeant = isStopForwarded || !Self.stopSignals.contains(signal)
            return state == .running && !isMeant ? [.suspend(signal)] : []
        case .suspensionRefused(let signal):
            // Ctrl-Z where there is no shell to say `fg`. A read in the background would only be stopped again.
            return state == .running && signal == SIGTSTP ? [.signalCommand(SIGCONT)] : []
        case .started(let child):
            if child == .agent { agent = .running(since: now) }
            return []
        case .notStarted(let child, let code): return notStarted(child, code, now: now)
        case .tick: return tick(now: now)
        }
    }

    private mutating func handle(signal: Int32) -> [Action] {
        switch state {
        case .asking:
            // As if the command had got it before it could install a handler (signal(7)).
            let hasNoEffect = Self.stopSignals.contains(signal) || [SIGCONT, SIGURG, SIGWINCH].contains(signal)
            if hasNoEffect || ignored.contains(signal) { return [] }
            state = .done
            return [.killQuestion, .exit(128 + signal)]
        case .running:
            if Self.stopSignals.contains(signal) { isStopForwarded = true }
            guard signal == SIGCONT else { return [.signalCommand(signal)] }
            isStopForwarded = false
            return [.handTerminalOver, .signalCommand(SIGCONT)]
        // The number of the command's group may be another's by now.
        case .stopping, .done: return []
        }
    }

    private static let stopSignals: Set<Int32> = [SIGTSTP, SIGTTIN, SIGTTOU]

    private mutating func startCommand(without reason: String? = nil) -> [Action] {
        state = .running
        return (reason.map { [.say(.noEnvironment(reason: $0))] } ?? []) + [.start(.command), .start(.agent)]
    }

    private static func reason(_ end: ChildProcess.Termination) -> String {
        switch end {
        case .exited(0): "the agent's answer was not understood"
        case .exited(let status): "the agent ended with status \(status) when asked for them"
        case .signalled(let signal): "the agent was ended by signal \(signal) when asked for them"
        }
    }

    private mutating func stop(status: Int32, now: UInt64) -> [Action] {
        // Those that the command left behind get the chance that the end of the container would not give them.
        var actions: [Action] = [.signalCommand(SIGTERM), .signalCommand(SIGCONT)]
        var stop = Stop(status: status, group: now + limits.groupStop)
        if case .running = agent {
            stop.agent = now + limits.agentStop
            actions.append(.signalAgent(SIGTERM))
        }
        state = .stopping(stop)
        return actions
    }

    /// Waits for the rest, or ends when there is none.
    private mutating func goOn(_ stop: Stop) -> [Action] {
        state = stop.deadline == nil ? .done : .stopping(stop)
        return stop.deadline == nil ? [.exit(stop.status)] : []
    }

    private mutating func agentEnded(_ end: ChildProcess.Termination, now: UInt64) -> [Action] {
        if case .stopping(var stop) = state {
            stop.agent = nil
            return goOn(stop)
        }
        guard state == .running, case .running(let since) = agent else { return [] }
        return again(restart.ended(end, ranFor: now - min(now, since)), now: now) {
            .agentEnded(end, againInSeconds: $0)
        }
    }

    private mutating func again(
        _ decision: AgentRestart.Decision, now: UInt64, notice: (UInt64) -> Notice
    ) -> [Action] {
        switch decision {
        case .leave:
            agent = .absent
            return [.say(.agentLeft)]
        case .again(let pause, let isNew):
            agent = .waiting(until: now + pause)
            return isNew ? [.say(notice(pause / 1_000_000_000))] : []
        }
    }

    private mutating func notStarted(_ child: Child, _ code: Int32, now: UInt64) -> [Action] {
        switch child {
        case .question: return startCommand(without: String(cString: strerror(code)))
        case .command:
            state = .done
            return [.say(.commandNotStarted(code)), .exit(125)]
        case .agent:
            return again(restart.notStarted(), now: now) { .agentNotStarted(code, againInSeconds: $0) }
        }
    }

    private mutating func tick(now: UInt64) -> [Action] {
        switch (state, agent) {
        case (.asking(let deadline), _) where now >= deadline:
            let seconds = limits.answer / 1_000_000_000
            return [.killQuestion]
                + startCommand(without: "the agent did not tell them within \(seconds) s")
        case (.running, .waiting(let until)) where now >= until:
            return [.start(.agent)]
        case (.stopping(var stop), _):
            if let deadline = stop.group, now >= deadline { stop.group = nil }
            guard let deadline = stop.agent, now >= deadline else { return goOn(stop) }
            if stop.isAgentKilled {
                stop.agent = nil
                return goOn(stop)
            }
            stop.agent = now + limits.afterKill
            stop.isAgentKilled = true
            return [.say(.agentKilled), .signalAgent(SIGKILL)] + goOn(stop)
        default: return []
        }
    }
}
