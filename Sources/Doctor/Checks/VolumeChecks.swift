import ControlPlaneAPI
import Environment
import Settings
import Storage

extension Check {
    /// A file of 4 KiB that takes longer than this to become durable makes installing packages a matter of minutes.
    private static let slowMilliseconds = 100.0

    static let volumeChecks: [Check] = [
        Check(
            "storage.volume-mounted-once", "Each volume is mounted once",
            why:
                "What was written below a second mount is hidden, and two mounts of one volume have caches of their own.",
            mend: "Remove one of the mounts from the pod's specification; look below with packet-agent storage.",
            requires: ["storage.volume"]
        ) { facts in
            guard let storage = facts.storage else { return .init(.unknown, "mounts unknown") }
            let mounts = volumes(facts).compactMap(\.mount)
            guard !mounts.isEmpty else { return .init(.skip, "there is no volume") }
            for mount in mounts {
                if let below = storage.table.mounts.first(where: {
                    $0.mountPoint == mount.mountPoint && $0.id != mount.id
                }) {
                    return .init(
                        .warn,
                        "at \(mount.mountPoint) another mount (\(BytePath(below.filesystem)) \(below.source)) is hidden below the volume"
                    )
                }
                let same = mounts.first {
                    $0.id != mount.id && $0.device == mount.device && $0.root == mount.root
                }
                if let same { return .init(.warn, "\(mount.mountPoint) and \(same.mountPoint) are the same volume") }
            }
            return .init(.pass, "\(mounts.count) volume(s)")
        },
        Check(
            "storage.volume-identity", "It is the volume that was expected",
            why: "Under the name of a volume another one may be mounted: work then goes to the wrong place.",
            mend: "Mount the right volume, or set storage.volume_id to the id in .packet/volume.json.",
            requires: ["storage.volume-answers"]
        ) { facts in
            examined(facts) { place, found in
                guard let id = found.examination.identity else { return nil }
                let wanted = facts.configuration.configuration.storage.volumeID
                if !wanted.isEmpty, place == facts.plan?.volume?.mountPoint, id != wanted {
                    return .init(.fail, "\(place) is volume \(id), but storage.volume_id says \(wanted)")
                }
                if let expected = facts.expectedVolume, place == expected.mountPoint,
                    let noted = found.examination.attachment, noted.controlPlane == expected.attachment.controlPlane,
                    noted.volumeID != expected.attachment.volumeID
                {
                    return .init(
                        .fail,
                        "\(place) is the control plane's volume \(noted.volumeID), but volume \(expected.attachment.volumeID) should be attached"
                    )
                }
                if let first = found.firstIdentity, first != id {
                    return .init(.fail, "\(place) is volume \(id), but it was \(first) when this container started")
                }
                return nil
            }
        },
        Check(
            "storage.volume-lease", "No other pod writes to the volume",
            why: "Two pods that write the same checkpoints, caches or packages destroy each other's files.",
            mend: "End one of the pods, or let them use different directories.", requires: ["storage.volume-answers"]
        ) { facts in
            examined(facts) { place, found in
                guard let other = found.examination.otherPod else { return nil }
                return .init(
                    .warn, "pod \(other.pod) uses \(place) too, since \(other.startedAt)",
                    data: ["pod": .string(other.pod), "renewed_at": .string(other.renewedAt)])
            }
        },
        Check(
            "storage.volume-root", "Root is root on the volume",
            why:
                "Where the server maps root to nobody (root_squash), chown fails and root cannot read the users' files.",
            mend: "Export the volume with no_root_squash, or make its directories writable for the pod's user.",
            requires: ["storage.volume-answers"]
        ) { facts in
            examined(facts) { place, found in
                guard let uid = found.examination.rootBecomes else { return nil }
                let failure = found.examination.failure.map { ": \($0)" } ?? ""
                return .init(
                    .warn, "on \(place) root becomes user \(uid)\(failure)", data: ["uid": .integer(Int64(uid))])
            }
        },
        Check(
            "storage.volume-exec", "Programs on the volume can be started",
            why: "With noexec, virtual environments and compiled extensions on the volume do not work.",
            mend: "Mount the volume without noexec, or keep environments on the container's layer.",
            requires: ["storage.volume"]
        ) { facts in
            let volumes = volumes(facts)
            guard !volumes.isEmpty else { return .init(.skip, "there is no volume") }
            guard let volume = volumes.first(where: { $0.mount?.hasOption("noexec") == true }) else {
                return .init(.pass, "\(volumes.count) volume(s)")
            }
            return .init(.warn, "\(volume.mountPoint) is mounted noexec")
        },
        Check(
            "storage.volume-locks", "File locks work on the volume",
            why: "Hugging Face, pip, uv, git and SQLite wait for ever or destroy data where locks do not work.",
            mend: "Mount NFS with working locks (not nolock; version 4), or keep databases on the container's layer.",
            requires: ["storage.volume-answers"]
        ) { facts in
            examined(facts) { place, found in
                found.examination.lockFailure.map { .init(.fail, "locks on \(place) do not work: \($0)") }
            }
        },
        Check(
            "storage.volume-latency", "The volume is fast enough",
            why: "pip, git and conda make thousands of small files, each of which waits for the server.",
            mend:
                "Keep environments and repositories with many files on the container's layer and let setup.sh make them.",
            requires: ["storage.volume-answers"]
        ) { facts in
            let times = facts.examinations.compactMap { place, found in
                found.examination.writeMilliseconds.map { (place, $0) }
            }
            guard let (place, time) = times.max(by: { $0.1 < $1.1 }) else { return notExamined(facts) }
            let milliseconds = (time * 10).rounded() / 10
            return .init(
                time > slowMilliseconds ? .warn : .pass,
                "a small file on \(place) takes \(milliseconds) ms to be durable",
                data: ["write_ms": .number(milliseconds)])
        },
    ]

    private static func volumes(_ facts: Facts) -> [Volume] {
        (facts.storage?.volumes ?? []).filter { $0.state != .missing }
    }

    private static func notExamined(_ facts: Facts) -> Finding {
        .init(.skip, volumes(facts).isEmpty ? "there is no volume" : "no agent has examined the volume yet")
    }

    /// Judges what the daemon found by writing to each volume; the first finding counts.
    private static func examined(
        _ facts: Facts, _ judge: (String, Facts.Examination) -> Finding?
    ) -> Finding {
        guard !facts.examinations.isEmpty else { return notExamined(facts) }
        for (place, found) in facts.examinations.sorted(by: { $0.key < $1.key }) {
            if let finding = judge(place, found) { return finding }
        }
        if let failure = facts.examinations.values.compactMap(\.examination.failure).first {
            return .init(.skip, "could not be tried: \(failure)")
        }
        return .init(.pass, facts.examinations.keys.sorted().joined(separator: ", "))
    }
}
