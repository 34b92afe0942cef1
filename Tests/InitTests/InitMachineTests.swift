import Glibc
import LinuxKit
import Testing

@testable import Init

private let second: UInt64 = 1_000_000_000

/// A machine that has been brought somewhere, with the clock that it saw.
private struct Run {
    var machine: InitMachine
    var now: UInt64 = 1000 * second

    init(ignored: Set<Int32> = []) { machine = InitMachine(ignored: ignored) }

    /// The command and the agent run.
    static func running() -> Run {
        var run = Run()
        _ = run.tell(.begin)
        _ = run.tell(.ended(.question, .exited(0), isAnswered: true))
        _ = run.tell(.started(.command))
        _ = run.tell(.started(.agent))
        return run
    }

    mutating func tell(_ event: InitMachine.Event, after nanoseconds: UInt64 = 0) -> [InitMachine.Action] {
        now += nanoseconds
        return machine.handle(event, now: now)
    }

    /// Lets time pass until the machine waits no more for it.
    mutating func tick() -> [InitMachine.Action] {
        guard let deadline = machine.deadline else { return [] }
        now = deadline
        return machine.handle(.tick, now: now)
    }
}

@Suite("entrypoint: the start") struct InitStartTests {
    @Test("the command is started when its variables are known, then the agent")
    func answered() {
        var run = Run()
        #expect(run.tell(.begin) == [.start(.question)])
        #expect(run.tell(.tick) == [])
        #expect(
            run.tell(.ended(.question, .exited(0), isAnswered: true)) == [.start(.command), .start(.agent)])
    }

    @Test("an agent that traps, refuses or answers nonsense costs the command its variables, nothing else")
    func notAnswered() {
        for end in [ChildProcess.Termination.signalled(SIGILL), .exited(2), .exited(0)] {
            var run = Run()
            _ = run.tell(.begin)
            let actions = run.tell(.ended(.question, end))
            #expect(actions.suffix(2) == [.start(.command), .start(.agent)])
            guard case .say(.noEnvironment) = actions.first, actions.count == 3 else {
                Issue.record("\(end) is not told: \(actions)")
                continue
            }
        }
    }

    @Test("an agent that hangs is killed after 3 s, and its late end changes nothing")
    func deadline() {
        var run = Run()
        _ = run.tell(.begin)
        #expect(run.machine.deadline == run.now + 3 * second)
        let actions = run.tick()
        #expect(actions.first == .killQuestion)
        #expect(actions.suffix(2) == [.start(.command), .start(.agent)])
        #expect(run.tell(.ended(.question, .signalled(SIGKILL))) == [])
        #expect(run.machine.deadline == nil)
    }

    @Test("a question that cannot be started does not keep the command from starting")
    func noQuestion() {
        var run = Run()
        _ = run.tell(.begin)
        #expect(run.tell(.notStarted(.question, EAGAIN)).contains(.start(.command)))
    }

    @Test("no process for the command is 125")
    func noCommand() {
        var run = Run()
        _ = run.tell(.begin)
        _ = run.tell(.ended(.question, .exited(0), isAnswered: true))
        #expect(run.tell(.notStarted(.command, EAGAIN)) == [.say(.commandNotStarted(EAGAIN)), .exit(125)])
    }

    @Test("a signal before the command runs does what it would have done to it")
    func earlySignal() {
        var run = Run(ignored: [SIGHUP])
        _ = run.tell(.begin)
        for signal in [SIGCONT, SIGWINCH, SIGURG, SIGTSTP, SIGTTIN, SIGTTOU, SIGHUP] {
            #expect(run.tell(.signal(signal)) == [], "\(signal)")
        }
        #expect(run.tell(.signal(SIGTERM)) == [.killQuestion, .exit(143)])
    }
}

@Suite("entrypoint: signals") struct InitSignalTests {
    @Test("every signal goes to the command's group")
    func forwarded() {
        var run = Run.running()
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGABRT, 34, 64] {
            #expect(run.tell(.signal(signal)) == [.signalCommand(signal)])
        }
    }

    @Test("Ctrl-Z suspends the entrypoint with the command; where nobody could continue them the command goes on")
    func jobControl() {
        var run = Run.running()
        #expect(run.tell(.commandStopped(SIGTSTP)) == [.suspend(SIGTSTP)])
        #expect(run.tell(.suspensionRefused(SIGTSTP)) == [.signalCommand(SIGCONT)])
        #expect(run.tell(.commandStopped(SIGTTIN)) == [.suspend(SIGTTIN)])
        #expect(run.tell(.suspensionRefused(SIGTTIN)) == [])
    }

    @Test("a stop that somebody asked for stays")
    func askedStop() {
        var run = Run.running()
        #expect(run.tell(.commandStopped(SIGSTOP)) == [])
        #expect(run.tell(.signal(SIGTSTP)) == [.signalCommand(SIGTSTP)])
        #expect(run.tell(.commandStopped(SIGTSTP)) == [])
        #expect(run.tell(.signal(SIGCONT)) == [.handTerminalOver, .signalCommand(SIGCONT)])
        #expect(run.tell(.commandStopped(SIGTSTP)) == [.suspend(SIGTSTP)])
    }
}

@Suite("entrypoint: the end") struct InitEndTests {
    @Test("the command's end ends the agent, and the status is the command's")
    func end() {
        for (end, status) in [(ChildProcess.Termination.exited(0), 0), (.exited(255), 255), (.signalled(9), 137)] {
            var run = Run.running()
            #expect(
                run.tell(.ended(.command, end))
                    == [.signalCommand(SIGTERM), .signalCommand(SIGCONT), .signalAgent(SIGTERM)])
            // The group's number may belong to others now.
            #expect(run.tell(.signal(SIGTERM)) == [])
            #expect(run.tell(.groupEnded) == [])
            #expect(run.tell(.ended(.agent, .exited(0)), after: 12 * second) == [.exit(Int32(status))])
        }
    }

    @Test("an agent that ignores SIGTERM is killed after 15 s, and one that cannot die is left behind")
    func stubbornAgent() {
        var run = Run.running()
        _ = run.tell(.ended(.command, .exited(7)))
        _ = run.tell(.groupEnded)
        #expect(run.machine.deadline == run.now + 15 * second)
        #expect(run.tick() == [.say(.agentKilled), .signalAgent(SIGKILL)])
        #expect(run.tick() == [.exit(7)])
    }

    @Test("without an agent the entrypoint ends at once")
    func noAgent() {
        var run = Run.running()
        _ = run.tell(.ended(.agent, .signalled(SIGSEGV)))
        _ = run.tell(.ended(.command, .exited(3)))
        #expect(run.tell(.groupEnded) == [.exit(3)])
    }

    @Test("those that the command left in its group get 2 s, also when the agent is quicker")
    func group() {
        var run = Run.running()
        _ = run.tell(.ended(.command, .exited(3)))
        #expect(run.tell(.ended(.agent, .exited(0))) == [])
        #expect(run.machine.deadline == run.now + 2 * second)
        #expect(run.tick() == [.exit(3)])
        #expect(run.tell(.groupEnded) == [])

        run = .running()
        _ = run.tell(.ended(.command, .exited(3)))
        #expect(run.tell(.ended(.agent, .exited(0))) == [])
        #expect(run.tell(.groupEnded, after: second) == [.exit(3)])
    }
}

@Suite("entrypoint: the agent") struct InitAgentTests {
    @Test("a crash is followed by a start after 1 s, 2 s, up to 60 s, and told until the pause no longer grows")
    func backoff() {
        var run = Run.running()
        for pause in [1, 2, 4, 8, 16, 32, 60] as [UInt64] {
            let end = ChildProcess.Termination.signalled(SIGILL)
            #expect(run.tell(.ended(.agent, end)) == [.say(.agentEnded(end, againInSeconds: pause))])
            #expect(run.machine.deadline == run.now + pause * second)
            #expect(run.tick() == [.start(.agent)])
            _ = run.tell(.started(.agent))
        }
        #expect(run.tell(.ended(.agent, .exited(1))) == [])
        #expect(run.machine.deadline == run.now + 60 * second)
    }

    @Test("after it ran long the pause is the shortest again")
    func stable() {
        var restart = AgentRestart(limits: .init())
        _ = restart.ended(.exited(1), ranFor: 0)
        #expect(restart.ended(.exited(1), ranFor: 59 * second) == .again(pause: 2 * second, isNew: true))
        #expect(restart.ended(.exited(1), ranFor: 60 * second) == .again(pause: second, isNew: true))
    }

    @Test("an agent that says it cannot run is tried three times")
    func refusal() {
        for status in [2, 126, 127] as [Int32] {
            var restart = AgentRestart(limits: .init())
            _ = restart.ended(.exited(status), ranFor: 0)
            _ = restart.ended(.exited(status), ranFor: 0)
            #expect(restart.ended(.exited(status), ranFor: 0) == .leave)
        }
        var run = Run.running()
        for _ in 0..<2 {
            _ = run.tell(.ended(.agent, .exited(2)))
            #expect(run.tick() == [.start(.agent)])
            _ = run.tell(.started(.agent))
        }
        #expect(run.tell(.ended(.agent, .exited(2))) == [.say(.agentLeft)])
        #expect(run.machine.deadline == nil)
    }

    @Test("a crash in between starts the count of refusals again")
    func refusalCount() {
        var restart = AgentRestart(limits: .init())
        for end in [2, 2, 1, 2, 2] as [Int32] { #expect(restart.ended(.exited(end), ranFor: 0) != .leave) }
        #expect(restart.ended(.exited(2), ranFor: 0) == .leave)
    }

    @Test("an agent for which there is no process is tried again")
    func noProcess() {
        var run = Run()
        _ = run.tell(.begin)
        _ = run.tell(.ended(.question, .exited(0), isAnswered: true))
        #expect(
            run.tell(.notStarted(.agent, EAGAIN)) == [.say(.agentNotStarted(EAGAIN, againInSeconds: 1))])
        #expect(run.tick() == [.start(.agent)])
    }
}
