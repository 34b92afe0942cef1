import Catalog

/// A variable for the pod specification: set there it reaches every process, `kubectl exec` and kernels included.
public struct PodVariable: Codable, Sendable, Equatable {
    /// The variable's name.
    public var name: String
    /// Its value.
    public var value: String

    /// Names a variable.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    /// What a plan wants there: the variables that are the same for all users, and BASH_ENV, by which `bash -c` and scripts
    /// read the rest. Not what is put before the image's own value, which a specification would replace.
    ///
    /// - Parameter environmentFile: ``EnvironmentPlaces/environmentFile``; nil leaves BASH_ENV out.
    public static func all(_ plan: EnvironmentPlan, environmentFile: String?) -> [PodVariable] {
        guard plan.volume != nil else { return [] }
        let variables = plan.variables.filter { $0.name != "BASH_ENV" && $0.combination == .set }.map {
            PodVariable(name: $0.name, value: $0.value)
        }
        return variables + (environmentFile.map { [PodVariable(name: "BASH_ENV", value: $0)] } ?? [])
    }

    /// What a pod's specification should set for a volume, known before there is a pod: with the agent's own places.
    public static func all(volumeName: String, mountPoint: String) -> [PodVariable] {
        let facts = EnvironmentPlan.Facts(
            volume: .init(name: volumeName, mountPoint: mountPoint),
            isPersistent: { $0 == mountPoint || $0.hasPrefix(mountPoint + "/") }, files: NoFiles())
        return all(EnvironmentPlan.make(facts), environmentFile: EnvironmentApply().environmentFile)
    }

    /// The same by name.
    static func dictionary(_ plan: EnvironmentPlan, environmentFile: String?) -> [String: String] {
        Dictionary(all(plan, environmentFile: environmentFile).map { ($0.name, $0.value) }) { first, _ in first }
    }

    /// The variables as the `env` list of a Kubernetes container (core/v1 EnvVar), each line indented by `indent` blanks.
    ///
    /// Values are double-quoted YAML; `$(` is written `$$(`, because Kubernetes expands it.
    public static func yaml(_ variables: [PodVariable], indent: Int = 0) -> String {
        let blanks = String(repeating: " ", count: indent)
        return "\(blanks)env:\n"
            + variables.map { variable in
                let value = variable.value.replacing("$(", with: "$$(").unicodeScalars.reduce(into: "") {
                    switch $1 {
                    case "\"", "\\": $0 += "\\\($1)"
                    case "\n": $0 += "\\n"
                    case "\t": $0 += "\\t"
                    default: $0.unicodeScalars.append($1)
                    }
                }
                return "\(blanks)- name: \(variable.name)\n\(blanks)  value: \"\(value)\"\n"
            }.joined()
    }
}
