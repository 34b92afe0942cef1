import AgentService
import Boot
import Environment
import Glibc
import Init
import LinuxKit
import Storage

/// `packet-agent probe QUESTION ...`: the child's side of everything that may hang. Not for people.
enum Helper {
    static func main(_ arguments: [String]) -> Int32 {
        if arguments == ["command-environment"] { return commandEnvironment() }
        let probes = ProbeProgram.environmentProbes + ProbeProgram.bootProbes
        if let name = arguments.first, let probe = probes.first(where: { $0.name == name }) {
            return probe.main(Array(arguments.dropFirst()))
        }
        return StorageProbe.main(arguments: arguments)
    }

    /// What ``Entrypoint`` asks: the variables that the user's command gets besides this process's own.
    private static func commandEnvironment() -> Int32 {
        guard let view = try? PodView.gather(Context.load()) else { return 1 }
        let before = ProcessEnvironment.entries
        let after = ExecEnvironment.merge(
            view.environmentPlan(findsPythons: false), intoEntries: before, user: Context.environmentUser)
        let output = Descriptor(owning: dup(STDOUT_FILENO))
        do { try output.writeAll(EnvironmentAnswer(from: before, to: after).bytes) } catch { return 1 }
        return 0
    }
}
