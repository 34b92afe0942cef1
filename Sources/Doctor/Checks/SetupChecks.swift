import Boot
import ControlPlaneAPI
import Settings

extension Check {
    static let setupChecks: [Check] = [
        Check(
            "setup.script", "The volume's set-up scripts",
            why:
                "It is run at every container start, often as root, so only a script that nobody else can change is run.",
            mend: "Give the script to root or to the volume's owner and take write permission from all others."
        ) { facts in
            guard facts.configuration.configuration.setup.enabled else {
                return .init(.skip, "switched off (setup.enabled)")
            }
            guard let setup = facts.setup else { return .init(.skip, "no boot pass has looked for it yet") }
            switch setup.state {
            case .absent: return .init(.skip, setup.reason ?? "there is no script")
            case .refused: return .init(.fail, "refused: \(setup.reason ?? "no reason given")")
            default:
                let warnings = setup.warnings.joined(separator: "; ")
                return .init(setup.warnings.isEmpty ? .pass : .warn, setup.warnings.isEmpty ? "accepted" : warnings)
            }
        },
        Check(
            "setup.result", "How the set-up scripts went",
            why: "What it should have installed is missing when it failed.",
            mend: "Read packet-agent setup logs, mend the script, then packet-agent setup run --force.",
            requires: ["setup.script"]
        ) { facts in
            guard let setup = facts.setup else { return .init(.skip, "no boot pass has run it yet") }
            let again = DoctorReport.Fix(
                command: "packet-agent setup logs; packet-agent setup run --force", safe: false)
            let data: [String: JSONValue] = ["exit_code": setup.exitCode.map { .integer(Int64($0)) } ?? .null]
            switch setup.state {
            case .absent, .refused: return .init(.skip, setup.reason ?? setup.state.rawValue)
            case .succeeded: return .init(.pass, "exit status 0", data: data)
            case .running:
                return .init(.warn, "still running", fix: .init(command: "packet-agent setup logs", safe: false))
            case .stalled: return .init(.warn, setup.reason ?? "no output and no CPU time for long", fix: again)
            case .failed, .timeout: return .init(.fail, setup.reason ?? setup.state.rawValue, fix: again, data: data)
            }
        },
    ]
}
