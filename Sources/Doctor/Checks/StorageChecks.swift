import AtRisk
import ControlPlaneAPI
import Storage

extension Check {
    static let storageChecks: [Check] = [
        Check(
            "storage.at-risk", "What would be lost if the pod ended now",
            why: "The container's writable layer and emptyDir volumes are destroyed with the pod.",
            mend: "Move what matters to the volume: packet-agent at-risk shows a command for each group.",
            measuresSizes: true
        ) { facts in
            guard let report = facts.atRisk else {
                return .init(.unknown, "not measured: \(facts.storageFailure ?? "mounts unknown")")
            }
            let amount = ByteCount.format(report.totalBytes)
            let data: [String: JSONValue] = [
                "total_bytes": .integer(Int64(clamping: report.totalBytes)),
                "total_files": .integer(Int64(report.totalFiles)),
                "complete": .bool(report.complete),
                "as_of": .integer((Timestamp(report.asOf)?.milliseconds) ?? 0),
                "groups": .array(
                    report.groups.prefix(20).map {
                        .object([
                            "id": .string($0.id), "title": .string($0.title),
                            "bytes": .integer(Int64(clamping: $0.bytes)),
                            "kind": .string($0.kind.rawValue),
                        ])
                    }),
            ]
            if case .cannotTell(let reason)? = facts.layer, report.totalFiles == 0 {
                return .init(.unknown, "cannot tell: \(reason)", data: data)
            }
            guard report.totalFiles > 0 else {
                return .init(.pass, "nothing of yours is on an ephemeral layer", data: data)
            }
            let kinds = report.groups.prefix(3).map { "\($0.title) (\(ByteCount.format($0.bytes)))" }
            let more = report.groups.count > 3 ? ", and \(report.groups.count - 3) more" : ""
            return .init(
                .warn, "\(amount) in \(report.totalFiles) file(s): \(kinds.joined(separator: ", "))\(more)",
                fix: report.groups.first { $0.fix != nil }?.fix.map { .init(command: $0.command, safe: false) },
                data: data)
        },
        Check(
            "storage.root", "The root file system",
            why: "What is written outside a volume lives only as long as this says.",
            mend: "Nothing to mend; where the lifetime is unknown, tell it with a rule in storage.rules."
        ) { facts in
            guard let storage = facts.storage, let root = storage.table.owner(of: .root) else {
                return .init(.unknown, facts.storageFailure ?? "no mount owns /")
            }
            let found = storage.classifier.classify(root)
            let status: DoctorReport.Status = found.lifetime == .unknown ? .unknown : .pass
            return .init(
                status,
                "/ is \(root.filesystem), lifetime \(found.lifetime.rawValue) (\(found.confidence.rawValue)): \(found.reason)",
                data: ["lifetime": .string(found.lifetime.rawValue), "fstype": .string(root.filesystem)])
        },
        Check(
            "storage.mountinfo", "The kernel's list of mounts",
            why: "A line that cannot be read hides a mount, and with it how long data there lives.",
            mend: "Report the line; if /proc is hidden by the sandbox, the agent cannot work."
        ) { facts in
            guard let storage = facts.storage else { return .init(.fail, facts.storageFailure ?? "not readable") }
            guard let first = storage.errors.first else {
                return .init(.pass, "\(storage.table.mounts.count) mounts read")
            }
            return .init(.warn, "\(storage.errors.count) line(s) not understood, first: \(first)")
        },
        Check(
            "storage.volume", "A volume is mounted",
            why:
                "Without a volume nothing in this pod survives its end, and data written to the volume's path is lost.",
            mend:
                "Attach the volume to the pod and start it again; move what was written to the plain directory meanwhile.",
            requires: ["storage.mountinfo"]
        ) { facts in
            let volumes = facts.storage?.volumes ?? []
            let missing = volumes.filter { $0.state == .missing }
            if let volume = missing.first {
                return .init(
                    .fail, "\(volume.mountPoint) is not mounted: \(volume.reason ?? volume.classification.reason)",
                    fix: .init(command: "packet-agent storage \(volume.mountPoint)", safe: false), data: names(missing))
            }
            guard !volumes.isEmpty else { return .init(.warn, "no volume is mounted and none is expected") }
            return .init(
                .pass, volumes.map { "\($0.name) at \($0.mountPoint)" }.joined(separator: ", "), data: names(volumes))
        },
        Check(
            "storage.volume-answers", "The volumes answer",
            why: "A volume whose server does not answer makes every program that touches it hang.",
            mend: "Ask the platform about the volume's server; programs that hang go on when it answers.",
            requires: ["storage.volume"]
        ) { facts in
            let volumes = mounted(facts)
            guard !volumes.isEmpty else { return .init(.skip, "there is no volume") }
            guard let stuck = volumes.first(where: { $0.state == .stuck }) else {
                return .init(.pass, "\(volumes.count) volume(s) answered in time")
            }
            return .init(.fail, "\(stuck.mountPoint) is stuck: \(stuck.reason ?? "no answer in time")")
        },
        Check(
            "storage.volume-writable", "The volumes can be written",
            why: "What cannot be written to the volume cannot be saved.",
            mend: "Mount the volume read-write, or give this user permission on its directories.",
            requires: ["storage.volume-answers"]
        ) { facts in
            let volumes = mounted(facts)
            guard !volumes.isEmpty else { return .init(.skip, "there is no volume") }
            if let volume = volumes.first(where: { $0.state == .readOnly }) {
                return .init(
                    .fail, "\(volume.mountPoint) is read-only: \(volume.reason ?? volume.classification.reason)")
            }
            if let volume = volumes.first(where: { $0.space?.isWritable == false }) {
                return .init(.warn, "\(volume.mountPoint) cannot be written by this user")
            }
            return .init(.pass, "\(volumes.count) volume(s)")
        },
        Check(
            "storage.volume-space", "Room on the volumes",
            why: "A full volume stops checkpoints and downloads, often without a clear message.",
            mend: "Remove old checkpoints and caches from the volume, or ask for a larger one.",
            requires: ["storage.volume-answers"]
        ) { facts in
            let measured = mounted(facts).compactMap { volume -> (Volume, UInt64, UInt64)? in
                guard let size = volume.space?.size, let used = volume.space?.used, size > 0 else { return nil }
                return (volume, size, used)
            }
            guard
                let (volume, size, used) = measured.max(by: {
                    Double($0.2) / Double($0.1) < Double($1.2) / Double($1.1)
                })
            else { return .init(.skip, "no volume tells its size") }
            let percent = Int(Double(used) / Double(size) * 100)
            let text =
                "\(volume.mountPoint) is \(percent) % full (\(ByteCount.format(used)) of \(ByteCount.format(size)))"
            let data: [String: JSONValue] = [
                "size_bytes": .integer(Int64(clamping: size)), "used_bytes": .integer(Int64(clamping: used)),
            ]
            if volume.space?.freeFiles == 0 {
                return .init(.fail, "\(volume.mountPoint) has no free inodes", data: data)
            }
            return .init(percent >= 98 ? .fail : percent >= 90 ? .warn : .pass, text, data: data)
        },
    ]

    private static func mounted(_ facts: Facts) -> [Volume] {
        (facts.storage?.volumes ?? []).filter { $0.state != .missing }
    }

    private static func names(_ volumes: [Volume]) -> [String: JSONValue] {
        ["volumes": .array(volumes.map { .string($0.mountPoint.description) })]
    }
}
