/// One row of the classification table: when every condition holds, the verdict applies. The first row that holds wins.
struct MountRule: Sendable {
    /// What a row can ask about a mount.
    enum Condition: Sendable {
        /// The file system is of one of these kinds.
        case kind([FilesystemKind])
        /// The file system type is one of these.
        case type([String])
        /// The source starts with one of these.
        case source([String])
        /// The mount point is one of these.
        case mountPoint([BytePath])
        /// The mount point is one of these or lies below one.
        case below([BytePath])
        /// The root field contains the directory `kubernetes.io~NAME` of one of these volume plugins of the kubelet; of any
        /// when the list is empty.
        case plugin([String])
        /// The root field is the file system's own root directory.
        case rootIsWhole
        /// The source of the bind mount was deleted.
        case rootIsDeleted
        /// The root field has the form `.../volumes/NAME/_data` of Docker and podman; with a 64-digit name when anonymous.
        case namedVolume(anonymous: Bool)
        /// Nothing can be written.
        case readOnly
        /// The mount has this option.
        case option(String)
        /// The file system has this option.
        case superOption(String)
        /// The device is that of the kubelet's or runtime's files (true), or known to be another (false).
        case onNodeDisk(Bool)
        /// The process runs in a container that a runtime gave files of its own, such as /etc/hosts.
        case container
        /// The opposite of a condition.
        indirect case not(Condition)
    }

    let conditions: [Condition]
    let verdict: Classification

    init(
        _ conditions: [Condition], _ lifetime: Lifetime, _ confidence: Confidence, isVolumeTrap: Bool = false,
        _ reason: String
    ) {
        self.conditions = conditions
        verdict = Classification(lifetime, confidence, reason, isVolumeTrap: isVolumeTrap)
    }

    private init(_ conditions: [Condition], _ verdict: Classification) {
        self.conditions = conditions
        self.verdict = verdict
    }

    /// This row without the conditions that only ask for kind and type; nil when one of them does not hold.
    func reduced(kind: FilesystemKind, type: String) -> MountRule? {
        var left: [Condition] = []
        for condition in conditions {
            switch condition {
            case .kind(let kinds): if !kinds.contains(kind) { return nil }
            case .type(let types): if !types.contains(type) { return nil }
            default: left.append(condition)
            }
        }
        return MountRule(left, verdict)
    }
}
