import ArgumentParser
import Glibc
import Init
import LinuxKit
import Storage

/// `packet-agent`, the command line. Parses and prints; everything else is in the rooms.
struct PacketAgent: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "packet-agent",
        abstract: "Knows what survives the end of this pod, keeps it, and reports its GPUs.",
        discussion: """
            A pod's root file system is destroyed when the pod terminates; only mounted volumes survive. \
            Start with "packet-agent doctor".

            Exit status: 0 done; 1 the thing asked for failed; 2 the command could not do its work; 64 wrong usage.
            """,
        version: version,
        subcommands: [
            DoctorCommand.self, StatusCommand.self, StorageCommand.self, AtRiskCommand.self, MoveCommand.self,
            EnvCommand.self, ExecCommand.self, InitCommand.self, SetupCommand.self, SnapshotCommand.self,
            GPUCommand.self,
            UsageCommand.self, ConfigCommand.self, RunCommand.self, BootCommand.self,
        ])

    /// Semantic version of this build.
    static let version = "0.1.0"
}

@main
enum Program {
    static func main() {
        // The entrypoint first of all: with the signals as they came, one thread, and little memory.
        if Entrypoint.isAsked(by: InitCommand.name), let command = Entrypoint.command(from: 2) {
            exit(Entrypoint.run(command))
        }
        // A reader that goes away (`| head`) is not worth a signal.
        signal(SIGPIPE, SIG_IGN)
        let arguments = Array(CommandLine.arguments.dropFirst())
        // Before anything that costs time: the version, and the helpers that other processes of ours start.
        switch arguments.first {
        case "--version":
            print(PacketAgent.version)
            exit(0)
        case "probe": exit(Helper.main(Array(arguments.dropFirst())))
        case MoveCommand.name: Abandonable.enter()
        default: break
        }
        // An asynchronous main would end in dispatch_main(3), which leaves the first thread by pthread_exit(3), and that
        // loads libgcc_s, which small images do not have. Here the first thread waits until the command ends the process.
        Task.detached { await run(arguments) }
        while true { pause() }
    }

    private static func run(_ arguments: [String]) async -> Never {
        do {
            var command = try PacketAgent.parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as Failure {
            Terminal.writeError("packet-agent: \(failure.description)")
            exit(failure.status)
        } catch {
            PacketAgent.exit(withError: error)
        }
        exit(0)
    }
}

/// The end of a command that did not do what was asked: one line for the person and the exit status.
struct Failure: Error, CustomStringConvertible {
    /// 1: the thing asked for failed; 2: the command could not do its work.
    let status: Int32
    let description: String

    static func failed(_ text: some CustomStringConvertible) -> Failure { Failure(status: 1, description: "\(text)") }
    static func cannot(_ text: some CustomStringConvertible) -> Failure { Failure(status: 2, description: "\(text)") }
}
