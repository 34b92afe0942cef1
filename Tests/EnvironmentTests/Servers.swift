import Environment
import FoundationEssentials
import Glibc
import LinuxKit
import Testing

/// Programs that `scripts/setup --tests` installs.
func requirePrograms(_ paths: String...) throws {
    for path in paths { try #require(access(path, X_OK) == 0, "\(path) is missing: run scripts/setup --tests") }
}

/// A real sshd with its own configuration and keys, one process per connection (`sshd -i`), without a port.
struct SSHServer {
    let scratch: Scratch

    /// - Parameter configuration: what comes first in its configuration file.
    init(_ scratch: Scratch, configuration: [UInt8]) throws {
        self.scratch = scratch
        // The directory that sshd -i wants for its unprivileged half.
        try AtomicFile.createDirectory("/run/sshd")
        for key in ["host", "user"] {
            try output("/usr/bin/ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", "\(scratch.path)/\(key)"])
        }
        rename(scratch.path + "/user.pub", scratch.path + "/authorized")
        let rest = """

            HostKey \(scratch.path)/host
            AuthorizedKeysFile \(scratch.path)/authorized
            StrictModes no
            PermitRootLogin yes
            UsePAM no

            """
        try AtomicFile.write(configuration + Array(rest.utf8), to: scratch.path + "/sshd_config")
    }

    /// What a command writes over ssh.
    func run(_ command: String) throws -> [UInt8] {
        let words = client(command)
        return try output(
            words[0], Array(words.dropFirst()), environment: ["PATH": "/usr/bin:/bin", "HOME": scratch.path])
    }

    /// The client's command line.
    func client(_ command: String, terminal: Bool = false) -> [String] {
        let user = String(cString: getpwuid(getuid()).pointee.pw_name)
        return [
            "/usr/bin/ssh", "-F", "/dev/null", "-q", terminal ? "-tt" : "-T", "-i", scratch.path + "/user",
            "-o", "ProxyCommand=/usr/sbin/sshd -i -f \(scratch.path)/sshd_config",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
            "\(user)@pod", command,
        ]
    }
}

/// A real systemd: a user's manager in a mount namespace, which runs the generator and one service.
enum SystemdManager {
    /// The environment that the service got, as `env -0` writes it.
    static func environment(_ scratch: Scratch, generator: String) throws -> [UInt8] {
        try #require(geteuid() == 0, "needs root, for a mount namespace with a /run that looks booted")
        let service = """
            [Unit]
            DefaultDependencies=no
            SuccessAction=exit-force
            FailureAction=exit-force
            [Service]
            Type=oneshot
            ExecStart=/bin/sh -c 'exec env -0 >\(scratch.path)/seen'

            """
        for name in ["units", "generators", "runtime"] { try AtomicFile.createDirectory("\(scratch.path)/\(name)") }
        try AtomicFile.write(service.utf8, to: scratch.path + "/units/test.service")
        try output("/bin/cp", [generator, scratch.path + "/generators/50-test"])
        let start = """
            mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/system
            exec /lib/systemd/systemd --user --unit=test.service
            """
        try output(
            "/usr/bin/unshare", ["-m", "/bin/sh", "-ec", start],
            environment: [
                "XDG_RUNTIME_DIR": scratch.path + "/runtime", "HOME": scratch.path,
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "SYSTEMD_ENVIRONMENT_GENERATOR_PATH": scratch.path + "/generators",
                "SYSTEMD_UNIT_PATH": scratch.path + "/units",
            ])
        return try LocalFile.read(scratch.path + "/seen")
    }
}
