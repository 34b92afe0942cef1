/// A plan merged into an environment: for `packet-agent exec`, setup.sh and everything else that is started directly.
public enum ExecEnvironment {
    /// The environment with the plan's variables, by the same rule as in the shell: a value that is there wins unless it is
    /// empty or the container's that the plan replaces.
    public static func merge(
        _ plan: EnvironmentPlan, into environment: [String: String], user: EnvironmentPlan.User = .root
    ) -> [String: String] {
        var result = environment
        for variable in plan.variables(for: user) {
            if let value = value(of: variable, over: environment[variable.name]) { result[variable.name] = value }
        }
        return result
    }

    /// The same for raw `NAME=VALUE` entries (environ(7)), keeping order and every byte of entries that stay.
    public static func merge(
        _ plan: EnvironmentPlan, intoEntries entries: [[UInt8]], user: EnvironmentPlan.User = .root
    ) -> [[UInt8]] {
        var entries = entries
        for variable in plan.variables(for: user) {
            let start = Array(variable.name.utf8) + [UInt8(ascii: "=")]
            let index = entries.firstIndex { $0.starts(with: start) }
            let existing = index.map { String(decoding: entries[$0].dropFirst(start.count), as: UTF8.self) }
            guard let value = value(of: variable, over: existing) else { continue }
            // What follows a prepended value is taken as bytes.
            let behind =
                variable.combination == .prepend ? index.map { Array(entries[$0].dropFirst(start.count)) } ?? [] : []
            let entry =
                variable.combination == .prepend
                ? start + Array(variable.value.utf8) + (behind.isEmpty ? [] : [UInt8(ascii: ":")] + behind)
                : start + Array(value.utf8)
            if let index { entries[index] = entry } else { entries.append(entry) }
        }
        return entries
    }

    /// The value to set, or nil to leave the existing one.
    private static func value(of variable: EnvironmentVariable, over existing: String?) -> String? {
        let existing = existing ?? ""
        switch variable.combination {
        case .set: return existing.isEmpty || existing == variable.replaces ? variable.value : nil
        case .prepend:
            if existing.isEmpty { return variable.value }
            return ":\(existing):".contains(":\(variable.value):") ? nil : variable.value + ":" + existing
        }
    }
}
