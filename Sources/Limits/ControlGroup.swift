import Glibc
import LinuxKit

/// The files of this container's control group: version 2, or version 1 with a hierarchy per controller (cgroups(7)).
///
/// In a name space of its own the container sees its group as the root; else its path leads to it. A limit may be set
/// anywhere above, so that every directory up to the root is looked at.
struct ControlGroup: Sendable {
    /// The directories to look into, the innermost first.
    let memory: [String]
    let pids: [String]
    let isUnified: Bool

    /// Finds the group of this process.
    ///
    /// - Parameters:
    ///   - proc: where /proc is.
    ///   - root: where the control groups are mounted.
    init(proc: String = "/proc", root: String = "/sys/fs/cgroup") {
        let text = (try? LocalFile.readText("\(proc)/self/cgroup", limit: 64 << 10)) ?? ""
        var paths: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            for controller in fields[1].split(separator: ",", omittingEmptySubsequences: false) {
                paths[String(controller)] = String(fields[2])
            }
        }
        isUnified = access("\(root)/cgroup.controllers", F_OK) == 0
        memory = Self.directories(isUnified ? root : "\(root)/memory", paths[isUnified ? "" : "memory"])
        pids = Self.directories(isUnified ? root : "\(root)/pids", paths[isUnified ? "" : "pids"])
    }

    private static func directories(_ root: String, _ path: String?) -> [String] {
        // `/../..` is how a group outside this name space is shown.
        var names = (path ?? "/").split(separator: "/").filter { $0 != ".." }
        var result: [String] = []
        while true {
            let directory = ([root] + names.map(String.init)).joined(separator: "/")
            if access(directory, F_OK) == 0 { result.append(directory) }
            if names.popLast() == nil { return result }
        }
    }

    /// A number in a file; nil when there is none: `max`, or no file.
    static func number(_ path: String) -> UInt64? {
        guard let text = try? LocalFile.readText(path, limit: 64), let number = UInt64(text.filter { !$0.isWhitespace })
        else { return nil }
        // Version 1 says "no limit" with the largest multiple of the page size.
        return number >= UInt64(Int64.max) / 4096 * 4096 ? nil : number
    }

    /// The lines `NAME NUMBER` of a file.
    static func numbers(_ path: String) -> [String: UInt64] {
        var result: [String: UInt64] = [:]
        for line in ((try? LocalFile.readText(path, limit: 64 << 10)) ?? "").split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 2, let number = UInt64(fields[1]) { result[String(fields[0])] = number }
        }
        return result
    }
}
