import Catalog
import ControlPlaneAPI
import Settings
import Environment
import Storage

extension Check {
    static let cacheChecks: [Check] = [
        placement(
            "caches.huggingface", "Hugging Face models and datasets",
            why: "Downloads of many gigabytes are repeated in every new pod when they lie on the container's layer.",
            mend: "Let sessions read the agent's environment: packet-agent env apply, then a new shell.",
            kinds: ["hf-hub", "hf-datasets"]),
        placement(
            "caches.pip", "pip's download cache",
            why: "With the cache on the volume a package is downloaded once, not once per pod.",
            mend: "Let sessions read the agent's environment: packet-agent env apply, then a new shell.",
            kinds: ["pip-cache"],
            only: { $0.id.hasPrefix("pip") }),
        placement(
            "caches.models", "Model and data stores of other tools",
            why: "What these tools download is gone with the pod unless it lies on the volume.",
            mend: "Let sessions read the agent's environment: packet-agent env apply, then a new shell.",
            kinds: ["model-cache", "dataset"]),
        Check(
            "caches.secrets", "Tokens and keys",
            why: "A token in a shared cache on the volume can be read by everybody who mounts the volume.",
            mend: "Keep tokens in a private place and remove them from the shared directory."
        ) { facts in
            // The places that the plan itself gives are private (0700) on the volume too.
            let own = Set(facts.plan?.variables(for: facts.user).map(\.value) ?? [])
            let exposed = facts.tools.filter {
                $0.tool.kind == "secret" && $0.classification.lifetime == .volume && !own.contains($0.path)
            }
            guard let first = exposed.first else { return .init(.pass, "no known token file is on a shared volume") }
            return .init(
                .warn, "\(first.tool.title) is kept on the volume at \(first.path)",
                data: ["paths": .array(exposed.map { .string($0.path) })])
        },
    ]

    /// Whether a tool's place is worth a word: not one whose data lies in places of their own below it, nor one that the
    /// agent leaves alone, unless somebody chose it.
    private static func isMeant(_ tool: ToolLocation, _ session: [String: String]) -> Bool {
        guard !tool.isLeftUnset else { return tool.variables.contains { session[$0]?.isEmpty == false } }
        return !Catalog.tools.contains { $0.parent == tool.id && !$0.isLeftUnset }
    }

    /// A check that the tools of some kinds, which belong on the volume, put their data there.
    private static func placement(
        _ id: String, _ title: String, why: String, mend: String, kinds: Set<String>,
        only: @escaping @Sendable (ToolLocation) -> Bool = { _ in true }
    ) -> Check {
        Check(id, title, why: why, mend: mend, requires: ["storage.mountinfo"]) { facts in
            let tools = facts.tools.filter {
                $0.tool.placement == .direct && kinds.contains($0.tool.kind) && only($0.tool)
                    && isMeant($0.tool, facts.session ?? [:])
            }
            guard !tools.isEmpty else { return .init(.skip, "no tool of this kind is known to this user") }
            let lost = tools.filter { $0.classification.lifetime.isLostWithPod }
            let data: [String: JSONValue] = [
                "paths": .object(
                    Dictionary(tools.map { ($0.tool.id, JSONValue.string($0.path)) }) { first, _ in first })
            ]
            guard let first = lost.first else {
                let unknown = tools.filter { $0.classification.lifetime == .unknown }
                if let path = unknown.first {
                    return .init(.unknown, "\(path.path): \(path.classification.reason)", data: data)
                }
                return .init(.pass, Set(tools.map(\.path)).sorted().prefix(3).joined(separator: ", "), data: data)
            }
            let others = lost.count > 1 ? " and \(lost.count - 1) more" : ""
            let text =
                "\(first.tool.title)\(others): \(first.path) is lost with the \(first.classification.lifetime.rawValue)"
            guard facts.plan?.volume != nil else {
                return .init(.warn, text + "; there is no volume to move it to", data: data)
            }
            return .init(.warn, text, fix: EnvironmentAdvice.fix(facts), data: data)
        }
    }
}

/// What to do so that a session sees the variables.
enum EnvironmentAdvice {
    static func fix(_ facts: Facts) -> DoctorReport.Fix {
        let file = facts.configuration.configuration.agent.runtimeDirectory + "/env.sh"
        return facts.environmentFile == .current
            ? .init(command: ". \(file)", safe: false)
            : .init(command: "packet-agent env apply && . \(file)", safe: false)
    }
}
