import ControlPlaneAPI
import Settings

extension Check {
    /// A delivery that brings nothing for so long is told; records are kept all the same.
    private static let silentSeconds: Double = 600

    static let controlPlaneChecks: [Check] = [
        Check(
            "control-plane.configured", "The control plane is configured",
            why: "Usage and snapshots need its address, the pod's UID and a token that only root can read.",
            mend: "Set control_plane.url, pod_uid and token_file; the platform does this in its images."
        ) { facts in
            let plane = facts.controlPlane
            guard !plane.url.isEmpty else { return .init(.skip, "no control_plane.url; usage is kept in the spool") }
            guard !plane.podUID.isEmpty else { return .init(.fail, "control_plane.pod_uid is not set") }
            if let problem = plane.tokenProblem { return .init(.fail, problem) }
            if let address = try? WebAddress(plane.url), !address.isEncrypted, !address.isLoopback {
                return .init(
                    .warn, "\(plane.url) is not encrypted: whoever is on the way can read the pod's token; use https")
            }
            return .init(.pass, plane.url)
        },
        Check(
            "control-plane.delivery", "Usage records are delivered",
            why: "Records wait on the container's layer until the control plane has them, and end with the pod.",
            mend: "Check that the control plane can be reached and accepts the token; records are kept meanwhile.",
            requires: ["control-plane.configured"]
        ) { facts in
            guard let daemon = facts.daemon else { return .init(.unknown, "the agent is not running") }
            let data: [String: JSONValue] = ["spooled": .integer(Int64(clamping: daemon.spooled))]
            if let failure = daemon.failure {
                let waited = daemon.oldestUnackedSeconds ?? 0
                return .init(
                    waited > silentSeconds ? .fail : .warn, "\(daemon.spooled) record(s) wait: \(failure)", data: data)
            }
            guard let age = daemon.lastAckSeconds else {
                return .init(.pass, "nothing to deliver yet", data: data)
            }
            return .init(.pass, "last acknowledged \(Int(age)) s ago, \(daemon.spooled) waiting", data: data)
        },
    ]

    static let agentChecks: [Check] = [
        Check(
            "agent.configuration", "The configuration",
            why: "A mistaken key is ignored and its default used instead.",
            mend: "packet-agent config check names the line."
        ) { facts in
            guard let first = facts.configuration.errors.first else {
                return .init(.pass, "\(facts.configuration.path): no mistakes")
            }
            let count = facts.configuration.errors.count
            return .init(
                .fail, count == 1 ? first.description : "\(count) mistakes, first: \(first)",
                fix: .init(command: "packet-agent config check", safe: false))
        },
        Check(
            "agent.running", "The agent is running",
            why: "Without it GPUs are not metered and nothing is reported.",
            mend: "Start the service, or packet-agent run in the container's entrypoint."
        ) { facts in
            guard let daemon = facts.daemon else {
                return .init(
                    .fail, "nobody answers on the agent's socket", fix: .init(command: "packet-agent run", safe: false))
            }
            guard daemon.version == facts.version else {
                return .init(.warn, "version \(daemon.version) runs, this is \(facts.version): restart the agent")
            }
            return .init(.pass, "version \(daemon.version), pid \(daemon.pid)")
        },
        Check(
            "agent.boot", "The boot pass",
            why: "It waits for the volume, writes the environment and runs the set-up script.",
            mend: "packet-agent boot runs it again and says what failed."
        ) { facts in
            guard case .object(let boot)? = facts.boot, case .string(let state)? = boot["state"] else {
                return .init(
                    .warn, "no boot pass has run in this container",
                    fix: .init(command: "packet-agent boot", safe: true))
            }
            switch state {
            case "ready": return .init(.pass, "ready")
            case "failed": return .init(.fail, Self.failedStep(boot) ?? state)
            case "degraded": return .init(.warn, Self.failedStep(boot) ?? state)
            default: return .init(.warn, "not finished: \(state)")
            }
        },
    ]

    private static func failedStep(_ boot: [String: JSONValue]) -> String? {
        guard case .array(let steps)? = boot["steps"] else { return nil }
        for case .object(let step) in steps {
            guard case .string(let state)? = step["state"], ["degraded", "failed"].contains(state),
                case .string(let name)? = step["name"]
            else { continue }
            if case .string(let detail)? = step["detail"] { return "\(name) \(state): \(detail)" }
            return "\(name) \(state)"
        }
        return nil
    }
}
