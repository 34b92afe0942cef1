import Glibc
import LinuxKit

extension SessionTrial {
    /// Sessions that a server of the pod starts.
    static let servers: [SessionTrial] = [
        SessionTrial(kind: .sshCommand, title: "ssh HOST CMD") { SSHTrial.run($0, terminal: false) },
        SessionTrial(kind: .sshTerminal, title: "ssh HOST") { SSHTrial.run($0, terminal: true) },
        SessionTrial(kind: .cron, title: "cron job", run: cron),
        SessionTrial(kind: .systemdService, title: "systemd service", run: service),
    ]

    /// A unit of its own below /run. Not systemd-run(1), which waits by D-Bus: containers often have none.
    private static let service: @Sendable (TrialGround) -> Outcome = { ground in
        guard access("/run/systemd/system", F_OK) == 0 else { return .absent("systemd does not run") }
        guard ground.user.uid == 0 else { return .absent("only root can try it") }
        let name = "packet-agent-prove-\(getpid()).service"
        let unit = "/run/systemd/system/" + name
        let text = """
            [Unit]
            Description=packet-agent env prove
            CollectMode=inactive-or-failed
            [Service]
            Type=oneshot
            ExecStart=/bin/sh -c "\(TrialGround.write(to: ground.file("service")))"

            """
        do throws(LinuxError) {
            try AtomicFile.write(Array(text.utf8), to: unit, mode: 0o644)
        } catch { return .failed(error.description) }
        defer { unlink(unit) }
        return ground.run("systemctl", ["start", name], leaving: "service")
    }

    /// A line in /etc/cron.d that takes itself out when it runs, at the next full minute (crontab(5)).
    private static let cron: @Sendable (TrialGround) -> Outcome = { ground in
        guard !TrialGround.processes(named: ["cron", "crond"]).isEmpty else { return .absent("no cron runs") }
        guard ground.user.uid == 0 else { return .absent("only root can try it") }
        guard access("/etc/cron.d", W_OK) == 0 else { return .absent("there is no /etc/cron.d") }
        let table = "/etc/cron.d/packet-agent-prove"
        let line = "* * * * * root rm -f \(table); \(TrialGround.write(to: ground.file("cron")))\n"
        do throws(LinuxError) {
            try AtomicFile.write(Array(line.utf8), to: table, mode: 0o644)
        } catch { return .failed(error.description) }
        defer { unlink(table) }
        return ground.wait(for: "cron", milliseconds: 90_000)
    }
}

/// A session through the pod's own sshd configuration: one `sshd -i` for one connection, with a key pair of its own and no port.
private enum SSHTrial {
    static func run(_ ground: TrialGround, terminal: Bool) -> SessionTrial.Outcome {
        guard let server = ground.program("sshd"), access("/etc/ssh/sshd_config", R_OK) == 0 else {
            return .absent("sshd is not installed")
        }
        guard ground.user.uid == 0 else { return .absent("only root can try it") }
        guard let client = ground.program("ssh"), let generator = ground.program("ssh-keygen") else {
            return .absent("the ssh client is not installed")
        }
        let name = terminal ? "ssh-terminal" : "ssh-command"
        do throws(LinuxError) {
            // The directory for the part of sshd without privileges; the service makes it at its start.
            try AtomicFile.createDirectory("/run/sshd")
            for key in ["host", "user"] {
                let made = try ChildProcess.capture(
                    .init(
                        executable: generator,
                        arguments: ["-q", "-t", "ed25519", "-N", "", "-f", ground.file("\(name).\(key)")],
                        environment: ground.base), milliseconds: 10_000)
                guard made.termination == .exited(0) else { return .failed("no key could be made") }
            }
        } catch { return .failed(error.description) }
        // Options of the command line win over the file; all but these is the pod's own configuration.
        let options = [
            "HostKey=\(ground.file(name + ".host"))", "AuthorizedKeysFile=\(ground.file(name + ".user.pub"))",
            "StrictModes=no", "PermitRootLogin=prohibit-password", "PubkeyAuthentication=yes",
            "AuthenticationMethods=publickey", "LogLevel=QUIET",
        ].flatMap { ["-o", $0] }
        let proxy = ([server, "-i", "-f", "/etc/ssh/sshd_config"] + options).joined(separator: " ")
        let user = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "root"
        return ground.run(
            client,
            [
                "-F", "/dev/null", "-q", terminal ? "-tt" : "-T", "-i", ground.file(name + ".user"),
                "-o", "ProxyCommand=\(proxy)", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "BatchMode=yes", "\(user)@localhost", shellCommand(ground, name, terminal: terminal),
            ], leaving: name, milliseconds: 20_000)
    }

    /// With a terminal people get a login shell: a command is given to one, because `ssh HOST` alone waits for keys.
    private static func shellCommand(_ ground: TrialGround, _ name: String, terminal: Bool) -> String {
        let write = TrialGround.write(to: ground.file(name))
        return terminal ? "exec \"$SHELL\" -lic '\(write)'" : write
    }
}
