import AtRisk
import ControlPlaneAPI
import Environment
import Settings

extension Check {
    static let environmentChecks: [Check] = [
        Check(
            "environment.plan", "A volume for the environment",
            why: "Variables point to one volume; with none or several the agent does not guess.",
            mend: "Attach a volume, or name the one to use in storage.primary_volume."
        ) { facts in
            guard facts.configuration.configuration.environment.enabled else {
                return .init(.skip, "switched off (environment.enabled)")
            }
            switch facts.primary {
            case .chosen(_, let why):
                let count = facts.plan?.variables.count ?? 0
                return .init(
                    .pass, "\(count) variable(s) point to \(facts.plan?.volume?.mountPoint ?? "?"), \(why)",
                    data: ["variables": .integer(Int64(count))])
            case .none(let why): return .init(.warn, why)
            }
        },
        Check(
            "environment.files", "The environment is written for new sessions",
            why: "Login shells read /etc/profile.d, which reads the agent's env.sh.",
            mend: "packet-agent env apply; it is safe and can be undone with env revert.",
            requires: ["environment.plan"]
        ) { facts in
            guard facts.plan?.volume != nil else { return .init(.skip, "there is no volume to point to") }
            let states = [("env.sh", facts.environmentFile), ("profile.d", facts.profileFile)]
            let wrong = states.filter { $0.1 != .current }
            guard !wrong.isEmpty else { return .init(.pass, "env.sh and /etc/profile.d are up to date") }
            let text = wrong.map { "\($0.0) is \($0.1 == .missing ? "missing" : "out of date")" }
            return .init(
                .fail, text.joined(separator: ", "), fix: .init(command: "packet-agent env apply", safe: true))
        },
        Check(
            "environment.session", "This session sees the environment",
            why: "A process keeps the variables it was started with; older sessions go on writing to the container.",
            mend: "Start a new login shell or read env.sh; restart notebooks and training that were started before.",
            requires: ["environment.plan"]
        ) { facts in
            guard let session = facts.session else { return .init(.skip, "not asked from a session") }
            guard let plan = facts.plan, plan.volume != nil else {
                return .init(.skip, "there is no volume to point to")
            }
            let merged = ExecEnvironment.merge(plan, into: session, user: facts.user)
            let stale = plan.variables(for: facts.user).filter { merged[$0.name] != session[$0.name] }.map(\.name)
            guard !stale.isEmpty else { return .init(.pass, "\(plan.variables.count) variable(s) are set") }
            let shown = stale.prefix(3).joined(separator: ", ") + (stale.count > 3 ? ", …" : "")
            return .init(
                .warn, "\(stale.count) variable(s) are not set here: \(shown)", fix: EnvironmentAdvice.fix(facts),
                data: ["missing": .array(stale.map { .string($0) })])
        },
        Check(
            "environment.volume-gone", "No process points to a volume that is gone",
            why:
                "It waits for ever, or writes into the empty directory below the mount point, where everything is lost with the pod.",
            mend: "Restart these processes when the volume is back."
        ) { facts in
            guard facts.storage != nil else { return .init(.unknown, "mounts unknown") }
            guard
                let (place, users) = facts.usersOfGoneVolumes.filter({ !$0.value.isEmpty }).min(by: { $0.key < $1.key })
            else { return .init(.pass, "none") }
            let shown = users.prefix(3).map { user in
                let how = user.variables.isEmpty ? "open files" : user.variables.prefix(3).joined(separator: ", ")
                return "\(user.command) (process \(user.pid): \(how))"
            }
            let more = users.count > 3 ? " and \(users.count - 3) more" : ""
            return .init(
                .warn, "\(place) is gone, but used by \(shown.joined(separator: ", "))\(more)",
                data: ["processes": .array(users.map { .integer(Int64($0.pid)) })])
        },
        Check(
            "environment.pythonpath", "Packages on the volume fit this Python",
            why: "Packages built for another Python version cannot be imported.",
            mend: "Install the packages again for this Python, or use the image they were built for.",
            requires: ["environment.plan"]
        ) { facts in
            guard let plan = facts.plan, plan.volume != nil else { return .init(.skip, "there is no volume") }
            if plan.variables.contains(where: { $0.name == "PYTHONPATH" }) {
                return .init(.pass, "PYTHONPATH names pip-packages")
            }
            let served = plan.pythonDirectories.keys.sorted().map { "\($0.major).\($0.minor)" }
            if !served.isEmpty {
                return .init(.pass, "pip-packages can be imported in Python \(served.joined(separator: ", "))")
            }
            let reason = plan.skipped.first { $0.name == "PYTHONPATH" }?.reason ?? "not used"
            return .init(reason.contains("built for") ? .warn : .skip, reason)
        },
    ]
}
