import AgentService
import ArgumentParser
import Environment
import Glibc
import LinuxKit

extension EnvCommand {
    struct Prove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start each kind of session and show which of them see the variables.",
            discussion: """
                Sessions start at the same time, each with a deadline; cron's takes up to a minute, because cron starts its \
                jobs at full minutes. Exit status: 0 when every session that can be reached from inside the pod sees them.
                """)

        @Flag(help: "Print JSON.") var json = false

        func run() throws {
            let configuration = Context.load()
            let plan = try EnvCommand.view(configuration).environmentPlan(findsPythons: false)
            guard plan.volume != nil else {
                throw Failure.failed("there is nothing to prove: " + (plan.skipped.first?.reason ?? "no volume"))
            }
            let isTerminal = isatty(STDERR_FILENO) == 1
            if isTerminal { Terminal.writeError("Trying every kind of session; cron takes up to a minute ...") }
            let file = EnvironmentApply(configuration).environmentFile
            let proof: SessionProof
            do { proof = try SessionProof.run(plan, user: Context.environmentUser, environmentFile: file) } catch {
                throw Failure.cannot(error)
            }
            json
                ? try Terminal.write(json: proof)
                : Self.show(proof, podSpec: PodVariable.all(plan, environmentFile: file))
            if !proof.isProven { throw ExitCode(1) }
        }

        private static func show(_ proof: SessionProof, podSpec: [PodVariable]) {
            let rows = proof.sessions.map { session -> [String] in
                let total = session.seen.count + session.missing.count + session.own.count
                let count = "\(session.seen.count + session.own.count) of \(total)"
                switch session.state {
                case .sees:
                    let own = session.own.isEmpty ? "" : "your own " + session.own.joined(separator: ", ")
                    return [session.title, "sees", count, session.reason ?? own]
                case .misses: return [session.title, "MISSES", count, list(session.missing)]
                case .unreachable:
                    return [session.title, "misses", count, "reads no file: only the pod specification reaches it"]
                case .absent: return [session.title, "-", "", session.reason ?? ""]
                case .failed: return [session.title, "FAILED", "", session.reason ?? ""]
                }
            }
            Terminal.write(
                Terminal.table([["SESSION", "", "VARIABLES", ""]] + rows.map { $0.map(TerminalText.escape) }))
            guard proof.sessions.contains(where: { $0.state == .unreachable }) else { return }
            Terminal.write(
                "\nFor these the variables must be in the container's own environment. Lines for the pod specification:\n"
            )
            let lines = PodVariable.yaml(podSpec, indent: 4).split(separator: "\n")
            Terminal.write(lines.map { TerminalText.escape(String($0)) }.joined(separator: "\n"))
        }

        private static func list(_ names: [String]) -> String {
            let shown = names.prefix(2).joined(separator: ", ")
            return "not " + shown + (names.count > 2 ? " and \(names.count - 2) more" : "")
        }
    }
}
