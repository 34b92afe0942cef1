import Boot
import Environment
import Storage

/// `packet-agent probe QUESTION ...`: the child's side of everything that may hang. Not for people.
enum Helper {
    static func main(_ arguments: [String]) -> Int32 {
        let probes = ProbeProgram.environmentProbes + ProbeProgram.bootProbes
        if let name = arguments.first, let probe = probes.first(where: { $0.name == name }) {
            return probe.main(Array(arguments.dropFirst()))
        }
        return StorageProbe.main(arguments: arguments)
    }
}
