/// A mount point where a volume should be, and who says so.
public struct ExpectedVolume: Sendable, Equatable {
    /// Where it should be mounted.
    public let mountPoint: BytePath
    /// Who expects it, for a person: `the configuration`, `the snapshot`.
    public let expectedBy: String
    /// File system types that it may have; empty for any.
    public let filesystems: Set<String>

    /// Names a volume.
    public init(mountPoint: BytePath, expectedBy: String, filesystems: Set<String> = []) {
        self.mountPoint = mountPoint
        self.expectedBy = expectedBy
        self.filesystems = filesystems
    }
}

/// A persistent mount, or the place of one that is not there.
public struct Volume: Sendable, Equatable {
    /// What can be done with a volume now.
    public enum State: String, Sendable, Codable {
        /// It is mounted and answers.
        case ready
        /// It is mounted and does not answer.
        case stuck
        /// It should be mounted and is not: what is written there is lost.
        case missing
        /// It is mounted, and nothing can be written.
        case readOnly = "read_only"
    }

    /// The last name of the mount point, `my-storage` for `/mnt/my-storage`.
    public let name: BytePath
    /// Where it is, or should be.
    public let mountPoint: BytePath
    /// The mount there; nil when nothing is mounted.
    public let mount: Mount?
    /// The lifetime of what is written there now.
    public let classification: Classification
    /// Who expects it; nil when it was found mounted and nobody asked for it.
    public let expectedBy: String?
    /// Its state; ``ready`` before a probe only means that it is mounted.
    public var state: State
    /// Why it is in this state; nil when there is nothing to say.
    public var reason: String?
    /// Its size, once a probe answered.
    public var space: StorageProbe.Space?

    /// Takes over what a probe found.
    public mutating func apply(_ outcome: StorageProbe.Outcome<StorageProbe.Space>) {
        switch outcome {
        case .answered(let space):
            self.space = space
            if state == .ready, !space.isWritable { reason = "this user may not write to it" }
        case .stuck(let why), .refused(let why):
            state = .stuck
            reason = why
        case .failed(let why):
            reason = why
        }
    }
}

/// Finds the volumes of a pod in its mount table, touching nothing.
///
/// A volume is every visible mount whose data survives the pod, and every place where one is expected: by configuration or
/// snapshot, or by the convention that `/mnt/NAME` is the volume. Such a place may well be a mount point, and yet a
/// directory of the node's disk.
public struct VolumeFinder: Sendable {
    /// Mount points that are volumes by convention.
    public static let conventional: [BytePath] = ["/mnt/*", "/workspace", "/data/*"]

    private let table: MountTable
    private let classifier: MountClassifier
    /// The mounts that can be reached, in the order of the table.
    let visible: [ClassifiedMount]

    /// Looks into a table.
    public init(_ table: MountTable, classifier: MountClassifier) {
        self.table = table
        self.classifier = classifier
        visible = table.mounts.filter(table.isVisible).map {
            ClassifiedMount(mount: $0, classification: classifier.classify($0))
        }
    }

    /// The volumes, by mount point.
    ///
    /// - Parameters:
    ///   - expected: the places that configuration or snapshot name.
    ///   - directories: the directories in `/mnt` on the disk. When no volume is mounted below `/mnt`, each that lies on the
    ///     container's writable layer is taken for the place of one.
    public func volumes(expected: [ExpectedVolume] = [], directories: [BytePath] = []) -> [Volume] {
        var found: [BytePath: Volume] = [:]
        for entry in visible {
            let mount = entry.mount
            let wanted = expected.first { $0.mountPoint == mount.mountPoint }
            if let volume = volume(mount, entry.classification, wanted) { found[mount.mountPoint] = volume }
        }
        for wanted in expected where found[wanted.mountPoint] == nil {
            let owner = table.owner(of: wanted.mountPoint)
            // A directory of a volume that is mounted further up is as good as a mount of its own.
            if let owner, owner.mountPoint != .root, classifier.classify(owner).lifetime == .volume { continue }
            found[wanted.mountPoint] = missing(at: wanted.mountPoint, owner: owner, expectedBy: wanted.expectedBy)
        }
        if !found.keys.contains(where: { $0.isWithin("/mnt") }) {
            for directory in directories where directory.matches(pattern: "/mnt/*") {
                // Elsewhere (a plain disk as root, a tmpfs) /mnt/NAME is an ordinary directory and promises no volume.
                guard let owner = table.owner(of: directory), owner.mountPoint == .root || owner.mountPoint == "/mnt",
                    classifier.classify(owner).lifetime == .container
                else { continue }
                found[directory] = missing(
                    at: directory, owner: owner, expectedBy: "the convention that /mnt/NAME is a volume")
            }
        }
        return found.values.sorted { $0.mountPoint < $1.mountPoint }
    }

    private func volume(_ mount: Mount, _ classification: Classification, _ wanted: ExpectedVolume?) -> Volume? {
        func volume(_ state: Volume.State, _ reason: String?) -> Volume {
            Volume(
                name: mount.mountPoint.lastComponent, mountPoint: mount.mountPoint, mount: mount,
                classification: classification,
                expectedBy: wanted?.expectedBy, state: state, reason: reason)
        }
        if let wanted, !wanted.filesystems.isEmpty, !wanted.filesystems.contains(mount.filesystem) {
            return volume(
                .missing,
                "\(BytePath(mount.filesystem)) is mounted there, but \(wanted.expectedBy) says \(wanted.filesystems.sorted().joined(separator: " or "))"
            )
        }
        switch classification.lifetime {
        case .volume:
            return mount.isReadOnly
                ? volume(.readOnly, "it is mounted read-only") : volume(.ready, nil)
        case .unknown where wanted != nil || Self.conventional.contains { mount.mountPoint.matches(pattern: $0) }:
            return volume(mount.isReadOnly ? .readOnly : .ready, classification.reason)
        case .node, .pod, .container, .image:
            // /mnt/NAME is the volume by the platform's own rule; elsewhere a directory of the node may be meant.
            let isTrap = classification.isVolumeTrap && mount.mountPoint.matches(pattern: "/mnt/*")
            guard wanted != nil || isTrap else { return nil }
            return volume(.missing, "what is mounted there is not a volume but \(classification.reason)")
        case .kernel, .unknown:
            return wanted == nil
                ? nil : volume(.missing, "what is mounted there is not a volume but \(classification.reason)")
        }
    }

    private func missing(at place: BytePath, owner: Mount?, expectedBy: String) -> Volume {
        let classification = owner.map(classifier.classify) ?? MountClassifier.unowned
        let reason = owner.map {
            "nothing is mounted there: the path belongs to \($0.mountPoint), \(classification.reason)"
        }
        return Volume(
            name: place.lastComponent, mountPoint: place, mount: nil, classification: classification,
            expectedBy: expectedBy,
            state: .missing, reason: reason ?? classification.reason)
    }
}
