import ArgumentParser

/// The words about `packet-agent init`; ``Program`` runs it before anything else when there is a command.
struct InitCommand: ParsableCommand {
    static let name = "init"
    static let configuration = CommandConfiguration(
        commandName: name, abstract: "The container's entrypoint: the agent, and a command as the pod's own.",
        discussion: """
            Starts the command with the variables that point tools at the volume, and the agent beside it; passes signals to \
            the command's process group; reaps orphans; ends when the command ends. The agent may crash: it is started again.

            Exit status: the command's own, 128 plus the signal's number when one ended it; 125 when no process could be \
            started, 126 not executable, 127 not found.
            """)

    @Argument(help: "The command and its arguments, after --.") var command: [String] = []

    func run() throws { throw ValidationError("a command is needed: packet-agent init -- CMD [ARG...]") }
}
