import Glibc
import LinuxKit

/// The running programs behind layers: sshd and systemd's manager.
public struct LayerPrograms: Sendable {
    /// What sshd finds wrong with its configuration; nil when it takes it.
    public var sshProblem: @Sendable () -> String?
    /// Makes a running sshd read its configuration again.
    public var reloadSSH: @Sendable () -> Void
    /// Sets variables in systemd's manager, or takes them out (empty); returns what is left alone.
    public var setManager: @Sendable ([EnvironmentVariable]) -> [LeftAlone]

    /// Gathers the effects.
    public init(
        sshProblem: @escaping @Sendable () -> String?, reloadSSH: @escaping @Sendable () -> Void,
        setManager: @escaping @Sendable ([EnvironmentVariable]) -> [LeftAlone]
    ) {
        self.sshProblem = sshProblem
        self.reloadSSH = reloadSSH
        self.setManager = setManager
    }

    /// No program runs; for other roots than the pod's.
    public static let none = LayerPrograms(sshProblem: { nil }, reloadSSH: {}, setManager: { _ in [] })

    /// The pod's programs.
    public static func system(_ places: EnvironmentPlaces) -> LayerPrograms {
        LayerPrograms(
            sshProblem: { SSHServerProcess.problem() }, reloadSSH: { SSHServerProcess.reload() },
            setManager: { SystemdManagerEnvironment(file: places.managerFile).set($0) })
    }
}

/// The sshd of this pod.
enum SSHServerProcess {
    /// What `sshd -t` says against its configuration. Missing host keys and directories are no fault of the configuration:
    /// images make them when they start sshd.
    static func problem(program: String = "/usr/sbin/sshd", arguments: [String] = []) -> String? {
        guard access(program, X_OK) == 0 else { return nil }
        let answer: ChildProcess.Captured
        do {
            answer = try ChildProcess.capture(
                .init(
                    executable: "/bin/sh", arguments: ["-c", "exec \"$@\" 2>&1", "sh", program, "-t"] + arguments,
                    environment: ["PATH": PodFacts.defaultPath]), limit: 16384, milliseconds: 10_000)
        } catch {
            return error.description
        }
        if answer.termination == .exited(0) { return nil }
        if answer.timedOut { return "sshd -t gave no answer" }
        let lines = String(decoding: answer.output, as: UTF8.self).split(separator: "\n")
        let harmless = ["no hostkeys available", "Missing privilege separation directory", "Could not load host key"]
        let faults = lines.filter { line in !harmless.contains { line.contains($0) } }
        return faults.isEmpty ? nil : "sshd -t: " + TerminalText.escape(faults.joined(separator: "; "))
    }

    /// Sends SIGHUP to each listener that shares our root and mounts: sshd starts itself again and keeps its sessions
    /// (sshd(8)). One that is started per connection reads its configuration anyway.
    static func reload(proc: String = "/proc") {
        for name in Directory.names(proc) {
            guard let pid = Int32(name), isListener("\(proc)/\(name)"),
                let mounts = try? LocalFile.linkTarget("\(proc)/\(name)/ns/mnt"),
                mounts == (try? LocalFile.linkTarget("\(proc)/self/ns/mnt"))
            else { continue }
            kill(pid, SIGHUP)
        }
    }

    // Its title says so since OpenSSH 8.2; before, its command line is the program's, and that of a session starts with
    // "sshd: USER".
    private static func isListener(_ process: String) -> Bool {
        guard (try? LocalFile.readText(process + "/comm", limit: 64)) == "sshd\n",
            let title = try? LocalFile.readText(process + "/cmdline", limit: 4096)
        else { return false }
        if title.contains("[listener]") { return true }
        // One per connection (-i) would end with its session.
        return title.hasPrefix("/") && !title.split(separator: "\0").contains("-i")
    }
}

/// The environment of systemd's manager, which services started from now on get.
///
/// Through `systemctl`, not sd-bus: it is there wherever systemd runs, does the job in one call, and a manager that does not
/// answer is left behind with a child process. What we set is noted, so that only that is taken out.
struct SystemdManagerEnvironment {
    /// Where it is noted.
    let file: String
    var program = "/usr/bin/systemctl"
    var manager = "/run/systemd/system"

    /// Makes the manager's environment hold these variables and none that we set before.
    func set(_ variables: [EnvironmentVariable]) -> [LeftAlone] {
        guard access(manager, F_OK) == 0, access(program, X_OK) == 0 else { return [] }
        let before = (LocalText.read(file) ?? []).split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        var left: [LeftAlone] = []
        do throws(LinuxError) {
            let shown = try run(["show-environment"]).split(separator: "\n")
            var wanted: [String] = []
            for variable in variables where ShellQuoting.systemd(variable.value.utf8) != nil {
                let isThere = shown.contains { $0.hasPrefix(variable.name + "=") }
                // Our generator may have set it when the manager started.
                let isOurs =
                    before.contains { $0.hasPrefix(variable.name + "=") }
                    || shown.contains { $0 == "\(variable.name)=\(variable.value)" }
                if isThere && !isOurs && variable.replaces == nil {
                    left.append(LeftAlone("\(variable.name) in systemd's manager", "it has a value already"))
                } else {
                    wanted.append("\(variable.name)=\(variable.value)")
                }
            }
            if wanted == before { return left }
            // With its value: one that somebody changed stays.
            if !before.isEmpty { _ = try run(["unset-environment"] + before) }
            try AtomicFile.write(wanted.flatMap { Array($0.utf8) + [0] }, to: file, mode: 0o600)
            if !wanted.isEmpty { _ = try run(["set-environment"] + wanted) }
            // What a generator printed at the last reload is not unset by that; at the next one ours prints nothing.
            let gone = before.filter { !wanted.contains($0) }
            if !gone.isEmpty,
                try run(["show-environment"]).split(separator: "\n").contains(where: { gone.contains(String($0)) })
            {
                _ = try run(["daemon-reload"])
            }
        } catch {
            left.append(FileChanger.left("systemd's manager", error))
        }
        return left
    }

    private func run(_ arguments: [String]) throws(LinuxError) -> String {
        let answer = try ChildProcess.capture(
            .init(executable: program, arguments: arguments, environment: ["PATH": PodFacts.defaultPath]),
            milliseconds: 5000)
        guard answer.termination == .exited(0) else {
            throw LinuxError("run systemctl", arguments[0], code: answer.timedOut ? ETIMEDOUT : EIO)
        }
        return String(decoding: answer.output, as: UTF8.self)
    }
}
