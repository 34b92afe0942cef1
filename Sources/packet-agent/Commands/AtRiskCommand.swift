import AgentService
import ArgumentParser
import AtRisk
import Glibc
import LinuxKit
import Storage
import Synchronization

struct AtRiskCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "at-risk", abstract: "List what would be lost if the pod terminated now.",
        discussion: "Ctrl-C stops looking and shows what was found until then, with exit status 1.")

    @Flag(help: "Print JSON.") var json = false
    @Flag(help: .hidden) var background = false
    @Argument(help: "Look only below these paths.") var paths: [String] = []

    func run() throws {
        // The daemon's own looks give way to everything that the user runs.
        if background { setpriority(Int32(PRIO_PROCESS.rawValue), 0, 19) }
        let view: PodView
        do { view = try PodView.gather(Context.load()) } catch { throw Failure.cannot(error) }
        Interrupt.watch()
        let progress = ProgressLine()
        let looked = Atomic(0)
        let report = view.atRisk(
            paths: Context.bytes(of: paths).map { BytePath(bytes: $0) },
            walk: TreeWalk(
                isCancelled: { Interrupt.happened },
                progress: { files in
                    let sum = looked.wrappingAdd(files, ordering: .relaxed).newValue
                    progress.show { "Looking: \(sum) files. Ctrl-C shows what was found." }
                }))
        progress.clear()
        json ? try Terminal.write(json: report) : show(report)
        if report.partial == true { throw Failure.failed("stopped: this is only what was found until then") }
    }

    private func show(_ report: AtRiskReport) {
        for problem in report.problems ?? [] { Terminal.writeError("packet-agent: \(TerminalText.escape(problem))") }
        for writer in report.writers ?? [] {
            Terminal.write("\(writer.text)  (\(ByteCount.format(writer.bytes)), process \(writer.pid))")
        }
        for process in report.staleProcesses ?? [] {
            Terminal.write(
                "\(process.command) (process \(process.pid)) started before the environment was set: \(process.advice)")
        }
        if report.writers != nil || report.staleProcesses != nil { Terminal.write("") }
        let least = report.complete ? "" : "at least "
        if report.groups.isEmpty {
            return Terminal.write(
                report.complete
                    ? "Nothing of yours would be lost if this pod stopped now."
                    : "Nothing of yours was found, but not everything could be looked at.")
        }
        Terminal.write(
            "You would lose \(least)\(ByteCount.format(report.totalBytes)) in \(report.totalFiles) file(s) if this pod stopped now."
        )
        for group in report.groups {
            Terminal.write("\n\(ByteCount.format(group.bytes))  \(TerminalText.escape(group.title))")
            Terminal.write("    \(TerminalText.escape(group.path))  (\(group.kind.rawValue), \(group.files) file(s))")
            if let fix = group.fix { Terminal.write("    \(Terminal.arrow) \(TerminalText.escape(fix.command))") }
        }
    }
}
