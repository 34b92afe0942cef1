import Glibc
import LinuxKit

extension SessionTrial {
    /// Shells and what starts them.
    static let shells: [SessionTrial] = [
        shell(.loginShell, "bash -l", "bash", ["-lc"]),
        shell(.loginShell, "sh -l", "sh", ["-lc"]),
        shell(.interactiveShell, "bash -i", "bash", ["-ic"]),
        shell(.zsh, "zsh -c", "zsh", ["-c"]),
        shell(.fish, "fish -c", "fish", ["-c"]),
        SessionTrial(kind: .su, title: "su - USER") { ground in
            guard ground.user.uid == 0 else { return .absent("only root can try it") }
            return ground.run("su", ["-", "-c", TrialGround.write(to: ground.file("su"))], leaving: "su")
        },
        SessionTrial(kind: .interactiveShell, title: "tmux window", run: tmux),
        shell(.bashCommand, "bash -c", "bash", ["-c"]),
        SessionTrial(kind: .bashCommand, title: "bash script") { ground in
            guard ground.program("bash") != nil else { return .absent("bash is not installed") }
            // Written by the shell that executes it, which reads no BASH_ENV. Written here, the file could be inherited, open
            // for writing, by what another trial starts at that moment, and would not be executed (ETXTBSY, execve(2)).
            let text = "#!/usr/bin/env bash\n\(TrialGround.write(to: ground.file("script")))"
            let start = #"printf '%s\n' "$1" >"$0" && chmod 700 "$0" && exec "$0""#
            return ground.run("sh", ["-c", start, ground.file("script.sh"), text], leaving: "script")
        },
        shell(.shellCommand, "sh -c", "sh", ["-c"]),
        SessionTrial(kind: .directExec, title: "docker exec, kubectl exec") { ground in
            // No shell: what a program itself is given.
            ground.run("cp", ["/proc/self/environ", ground.file("exec")], leaving: "exec")
        },
    ]

    private static func shell(_ kind: SessionKind, _ title: String, _ program: String, _ options: [String])
        -> SessionTrial
    {
        SessionTrial(kind: kind, title: title) { ground in
            let file = title.replacing(" ", with: "")
            return ground.run(program, options + [TrialGround.write(to: ground.file(file))], leaving: file)
        }
    }

    /// A window of a server of its own, whose shell is a login shell (tmux(1), default-command).
    private static let tmux: @Sendable (TrialGround) -> Outcome = { ground in
        guard let program = ground.program("tmux") else { return .absent("tmux is not installed") }
        let socket = ground.file("tmux.sock")
        func tell(_ arguments: [String]) -> ChildProcess.Termination? {
            let captured = try? ChildProcess.capture(
                .init(
                    executable: program, arguments: ["-S", socket, "-f", "/dev/null"] + arguments,
                    environment: ground.base.merging(["TERM": "screen"]) { $1 }, workingDirectory: ground.user.home),
                milliseconds: 5000)
            return captured?.termination
        }
        guard tell(["new-session", "-d", "-x", "80", "-y", "24"]) == .exited(0) else {
            return .failed("no server could be started")
        }
        defer { _ = tell(["kill-server"]) }
        _ = tell(["send-keys", "-l", TrialGround.write(to: ground.file("tmux"))])
        _ = tell(["send-keys", "Enter"])
        return ground.wait(for: "tmux", milliseconds: 10_000)
    }
}
