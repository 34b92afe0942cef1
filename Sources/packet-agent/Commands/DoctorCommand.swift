import AgentService
import ArgumentParser
import Doctor
import LinuxKit

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Say what would be lost now, what is wrong, and how to mend it.",
        discussion: """
            Read-only unless --fix. Exit status: 0 nothing failed; 1 a check failed or has no answer, or with --strict \
            warns; 2 the doctor could not work; 64 wrong usage.
            """)

    @Flag(help: "Print the report as JSON.") var json = false
    @Flag(help: "Let warnings fail.") var strict = false
    @Flag(help: "Apply the fixes that are marked safe, and report each.") var fix = false
    @Flag(help: "List the checks and what they are for.") var list = false
    @Flag(help: "Leave out what walks files.") var quick = false
    @Option(help: "A check that must not be skipped (may be repeated).") var require: [String] = []
    @Flag(help: .hidden) var background = false
    @Argument(help: "Checks or groups to run; all when none is named.") var checks: [String] = []

    func run() async throws {
        if list {
            guard json else { return Terminal.write(Terminal.table(Check.all.map { [$0.id, $0.title] })) }
            return try Terminal.write(json: CheckList())
        }
        var options = Doctor.Options()
        options.only = checks
        options.quick = quick
        options.strict = strict
        options.required = Set(require)
        let unknown = Doctor.unknownNames(in: options)
        guard unknown.isEmpty else {
            throw Failure(
                status: 64,
                description: "no such check: \(TerminalText.escape(unknown.joined(separator: ", "))); see doctor --list"
            )
        }
        // Mistakes in the configuration are a check of their own, so they are not told twice here.
        let loaded = Context.loadQuietly()
        let selected = Check.all.filter { checks.isEmpty || checks.contains($0.id) || checks.contains($0.group) }
        let measures = !quick && selected.contains { $0.measuresSizes }
        func look() async -> (DoctorReport, Facts) {
            let facts = await FactsGatherer.gather(
                loaded, version: PacketAgent.version, session: background ? nil : Context.environment,
                sizes: !measures ? .none : background ? .cached : .measured, findsPythons: !quick)
            return (Doctor.run(options, facts: facts), facts)
        }
        var (report, facts) = await look()
        if fix {
            let mended = mend(report)
            if mended { (report, facts) = await look() }
        }
        if json {
            try Terminal.write(json: report)
        } else {
            let screen = Screen(columns: Terminal.columns, hasColour: Terminal.hasColour, arrow: Terminal.arrow)
            Terminal.write(screen.lines(report, atRisk: facts.atRisk).joined(separator: "\n"))
        }
        if report.exit != 0 { throw ExitCode(Int32(report.exit)) }
    }

    /// Runs the safe fixes; true when there was one.
    private func mend(_ report: DoctorReport) -> Bool {
        let fixes = report.checks.filter { [.fail, .warn].contains($0.status) }.compactMap { check in
            check.fix.flatMap { $0.safe ? (check.id, $0.command) : nil }
        }
        for (id, command) in fixes {
            let result: String
            do {
                let captured = try ChildProcess.capture(
                    .init(
                        executable: "/bin/sh", arguments: ["-c", command],
                        environment: Context.environment.merging(["PATH": Context.pathForFixes]) { $1 }),
                    milliseconds: 60_000)
                result = captured.termination == .exited(0) ? "done" : captured.timedOut ? "timed out" : "failed"
            } catch {
                result = error.description
            }
            Terminal.writeError("fix \(id): \(command): \(result)")
        }
        return !fixes.isEmpty
    }
}

/// `doctor --list --json`.
private struct CheckList: Encodable {
    struct Entry: Encodable {
        let id: String
        let title: String
        let why: String
        let mend: String
        let requires: [String]
    }

    let schema = "packet-agent/checks/1"
    let checks = Check.all.map {
        Entry(id: $0.id, title: $0.title, why: $0.why, mend: $0.mend, requires: $0.requires)
    }
}
