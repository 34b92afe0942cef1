import ArgumentParser
import ControlPlaneAPI
import Glibc
import LinuxKit

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Manage the tokens of teams.", subcommands: [Create.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a team's token: its hash goes into the token file, the secret into a file of its own.",
            discussion:
                "Both files are readable by their owner only. The secret is not printed and cannot be had again.")

        @Option(help: "File of token hashes; created when it does not exist.")
        var tokens: String

        @Option(help: "Name of the team.")
        var team: String

        @Option(help: "File for the secret; must not exist.")
        var out: String

        func validate() throws {
            guard TokenFile.isValid(team: team) else {
                throw ValidationError("--team takes 1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or digit")
            }
        }

        func run() async throws {
            do { try create() } catch {
                Complaint.print("\(error)")
                throw ExitCode(1)
            }
        }

        private func create() throws {
            // One writer at a time, or two would each keep only their own entry.
            let lock = try Descriptor(opening: tokens + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, mode: 0o600)
            guard flock(lock.number, LOCK_EX) == 0 else { throw LinuxError("lock", tokens + ".lock", code: errno) }
            var entries = access(tokens, F_OK) == 0 ? try TokenFile.read(tokens) : []
            let secret = Secret.make(.team)
            let now = Timestamp.now()
            entries.append(.init(id: secret.id, team: team, sha256: secret.sha256, createdAt: now))
            // The secret first: an entry without its secret would be of no use to anybody.
            let file = try Descriptor(opening: out, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode: 0o600)
            try file.writeAll(Array((secret.text + "\n").utf8))
            try file.sync()
            try TokenFile.write(entries, to: tokens)
        }
    }
}

/// A line on standard error.
enum Complaint {
    static func print(_ text: String) {
        let line = Array("packet-control: \(TerminalText.escape(text))\n".utf8)
        _ = write(STDERR_FILENO, line, line.count)
    }
}
