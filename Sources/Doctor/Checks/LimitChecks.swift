import AtRisk
import ControlPlaneAPI
import Limits
import Settings
import Storage

extension Check {
    static let limitChecks: [Check] = [
        Check(
            "limits.ephemeral-storage", "What is written outside the volumes against its limit",
            why: "Kubernetes evicts a pod that writes more to its ephemeral layers than its limit allows.",
            mend:
                "Move what packet-agent at-risk lists to the volume. The limit is told by storage.ephemeral_limit_mib.",
            measuresSizes: true
        ) { facts in
            let limit = UInt64(facts.configuration.configuration.storage.ephemeralLimitMiB) << 20
            let used = facts.atRisk?.ephemeralBytes
            guard limit > 0 else {
                let text = used.map { "\(ByteCount.format($0)) are written; " } ?? ""
                return .init(.skip, text + "the platform does not tell the limit")
            }
            guard let used else { return .init(.unknown, "what is written could not be measured") }
            return judge(.init(used: used, limit: limit), "ephemeral storage", format: ByteCount.format)
        },
        Check(
            "limits.disk", "Room on the disk that holds the container's layer",
            why:
                "A full disk makes every write outside the volumes fail, and a node with little room evicts pods: by default below 10 % of its disk or 15 % of that of images.",
            mend: "Move what packet-agent at-risk lists to the volume. If it is not yours, ask for another node."
        ) { facts in
            guard let use = facts.limits?.disk else { return .init(.skip, "the root file system does not tell") }
            return judge(use, "the disk below /", format: ByteCount.format)
        },
        Check(
            "limits.memory", "Memory against the container's limit",
            why: "At the limit the kernel kills a process, usually the training.",
            mend: "Use smaller batches or fewer data loader workers, or ask for more memory."
        ) { facts in
            guard let memory = facts.limits?.memory else { return .init(.skip, "the control group shows no memory") }
            guard let limit = memory.limit else { return .init(.skip, "there is no memory limit") }
            var finding = judge(.init(used: memory.used, limit: limit), "memory", format: ByteCount.format)
            finding.evidence += "; \(ByteCount.format(memory.cache)) of page cache not counted"
            finding.data["cache_bytes"] = .integer(Int64(clamping: memory.cache))
            if memory.outOfMemoryKills > 0 {
                finding.status = .warn
                finding.evidence += "; \(memory.outOfMemoryKills) process(es) were killed for want of memory"
                finding.data["oom_kills"] = .integer(Int64(clamping: memory.outOfMemoryKills))
            }
            return finding
        },
        Check(
            "limits.pids", "Processes and threads against their limit",
            why: "At the limit no program can be started and threads cannot be made.",
            mend: "End processes that were left behind, or use fewer workers."
        ) { facts in
            guard let use = facts.limits?.pids else { return .init(.skip, "there is no limit") }
            return judge(use, "processes and threads") { "\($0)" }
        },
        Check(
            "limits.shared-memory", "Room in /dev/shm",
            why: "Data loader workers exchange batches through /dev/shm and die with a bus error when it is full.",
            mend: "Use fewer workers, or ask for a larger /dev/shm (an emptyDir with medium Memory)."
        ) { facts in
            guard let use = facts.limits?.sharedMemory else { return .init(.skip, "there is no /dev/shm") }
            var finding = judge(use, "/dev/shm", format: ByteCount.format)
            // Docker's default: too small for any data loader with workers.
            if use.limit <= 64 << 20, finding.status == .pass {
                finding = .init(
                    .warn, "/dev/shm has only \(ByteCount.format(use.limit)), too little for data loader workers",
                    data: finding.data)
            }
            return finding
        },
        Check(
            "limits.open-files", "Open files against their limit",
            why: "At the limit a program fails with \"Too many open files\".",
            mend: "Raise the limit before the program is started: ulimit -n 65536."
        ) { facts in
            guard let found = facts.limits?.openFiles else { return .init(.skip, "no process could be looked at") }
            var finding = judge(found.use, "open files") { "\($0)" }
            finding.evidence += " in \(found.command) (process \(found.pid))"
            return finding
        },
        Check(
            "limits.last-end", "How the last container ended",
            why: "A container that was killed says nothing itself, and starts again with an empty layer.",
            mend: "For want of memory: use less, or ask for more. Else the platform's events tell more."
        ) { facts in
            guard let end = facts.examinations.values.compactMap(\.lastEnd).first else {
                return .init(.skip, "no note of an earlier container was found on a volume")
            }
            return .init(end.cause == ContainerEnd.Cause.asked.rawValue ? .pass : .warn, end.text)
        },
    ]

    private static func judge(_ use: ContainerLimits.Use, _ name: String, format: (UInt64) -> String) -> Finding {
        let data: [String: JSONValue] = [
            "used": .integer(Int64(clamping: use.used)), "limit": .integer(Int64(clamping: use.limit)),
        ]
        let text = "\(use.percent) % of \(name) (\(format(use.used)) of \(format(use.limit)))"
        guard use.percent >= 80 else { return .init(.pass, text, data: data) }
        return .init(
            .warn, use.percent >= 90 ? "only \(100 - min(100, use.percent)) % left: \(text)" : text, data: data)
    }
}
