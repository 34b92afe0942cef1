public import LinuxKit

/// What `packet-agent storage --json` prints, and what its text is rendered from.
///
/// A path that is not UTF-8 is shown escaped in its field, and exactly, in base64, in a field of the same name with `_b64`,
/// which is there only then.
public struct StorageReport: Codable, Sendable, Equatable {
    /// The name and version of this document.
    public static let schema = "packet-agent/storage/1"

    /// One visible mount.
    public struct MountEntry: Codable, Sendable, Equatable {
        /// Where it is mounted.
        public var mountPoint: String
        /// The exact bytes in base64, only when they are not UTF-8.
        public var mountPointBase64: String?
        /// File system type.
        public var fstype: String
        /// What is mounted.
        public var source: String
        /// The exact bytes in base64, only when they are not UTF-8.
        public var sourceBase64: String?
        /// The directory of the file system that is visible.
        public var root: String
        /// The exact bytes in base64, only when they are not UTF-8.
        public var rootBase64: String?
        /// How long data there lives.
        public var lifetime: Lifetime
        /// How sure that is.
        public var confidence: Confidence
        /// Why.
        public var reason: String
        /// True when nothing can be written.
        public var readOnly: Bool

        enum CodingKeys: String, CodingKey {
            case mountPoint = "mount_point"
            case mountPointBase64 = "mount_point_b64"
            case fstype, source
            case sourceBase64 = "source_b64"
            case root
            case rootBase64 = "root_b64"
            case lifetime, confidence, reason
            case readOnly = "read_only"
        }

        init(_ mount: Mount, _ classification: Classification) {
            mountPoint = mount.mountPoint.jsonText
            mountPointBase64 = mount.mountPoint.jsonBase64
            fstype = mount.filesystem
            source = mount.source.jsonText
            sourceBase64 = mount.source.jsonBase64
            root = mount.root.jsonText
            rootBase64 = mount.root.jsonBase64
            lifetime = classification.lifetime
            confidence = classification.confidence
            reason = classification.reason
            readOnly = mount.isReadOnly
        }
    }

    /// One volume, mounted or missing.
    public struct VolumeEntry: Codable, Sendable, Equatable {
        /// The last name of its mount point.
        public var name: String
        /// Where it is or should be mounted.
        public var mountPoint: String
        /// The exact bytes in base64, only when they are not UTF-8.
        public var mountPointBase64: String?
        /// File system type; null when nothing is mounted.
        @Nullable public var fstype: String?
        /// What is mounted; null when nothing is.
        @Nullable public var source: String?
        /// What can be done with it.
        public var state: Volume.State
        /// Its size in bytes; null when that cannot be told.
        @Nullable public var sizeBytes: UInt64?
        /// Bytes in use; null when that cannot be told.
        @Nullable public var usedBytes: UInt64?
        /// Why it is in this state; left out when there is nothing to say.
        public var reason: String?

        enum CodingKeys: String, CodingKey {
            case name
            case mountPoint = "mount_point"
            case mountPointBase64 = "mount_point_b64"
            case fstype, source, state
            case sizeBytes = "size_bytes"
            case usedBytes = "used_bytes"
            case reason
        }

        init(_ volume: Volume) {
            name = volume.name.jsonText
            mountPoint = volume.mountPoint.jsonText
            mountPointBase64 = volume.mountPoint.jsonBase64
            _fstype = Nullable(wrappedValue: volume.mount?.filesystem)
            _source = Nullable(wrappedValue: volume.mount?.source.jsonText)
            state = volume.state
            _sizeBytes = Nullable(wrappedValue: volume.space?.size)
            _usedBytes = Nullable(wrappedValue: volume.space?.used)
            reason = volume.reason
        }
    }

    /// A symbolic link on the way to a path.
    public struct HopEntry: Codable, Sendable, Equatable {
        /// The link.
        public var link: String
        /// The exact bytes in base64, only when they are not UTF-8.
        public var linkBase64: String?
        /// What it says, as written.
        public var target: String
        /// The exact bytes in base64, only when they are not UTF-8.
        public var targetBase64: String?

        enum CodingKeys: String, CodingKey {
            case link
            case linkBase64 = "link_b64"
            case target
            case targetBase64 = "target_b64"
        }

        init(_ hop: PathResolution.Hop) {
            link = hop.link.jsonText
            linkBase64 = hop.link.jsonBase64
            target = hop.target.jsonText
            targetBase64 = hop.target.jsonBase64
        }
    }

    /// The lifetime of one path that was asked for.
    public struct PathEntry: Codable, Sendable, Equatable {
        /// The path as it was asked for.
        public var path: String
        /// The exact bytes in base64, only when they are not UTF-8.
        public var pathBase64: String?
        /// The path without symbolic links.
        public var resolved: String
        /// The exact bytes in base64, only when they are not UTF-8.
        public var resolvedBase64: String?
        /// The symbolic links on the way, in order; left out when there is none.
        public var hops: [HopEntry]?
        /// Whether it exists; null when its file system does not answer.
        @Nullable public var exists: Bool?
        /// The nearest directory above that exists; left out when the path itself does.
        public var existingParent: String?
        /// The exact bytes in base64, only when they are not UTF-8.
        public var existingParentBase64: String?
        /// How long data written there lives.
        public var lifetime: Lifetime
        /// How sure that is.
        public var confidence: Confidence
        /// The mount that owns it; null when none can be named.
        @Nullable public var mountPoint: String?
        /// The exact bytes in base64, only when they are not UTF-8.
        public var mountPointBase64: String?
        /// Why.
        public var reason: String

        enum CodingKeys: String, CodingKey {
            case path
            case pathBase64 = "path_b64"
            case resolved
            case resolvedBase64 = "resolved_b64"
            case hops, exists
            case existingParent = "existing_parent"
            case existingParentBase64 = "existing_parent_b64"
            case lifetime, confidence
            case mountPoint = "mount_point"
            case mountPointBase64 = "mount_point_b64"
            case reason
        }

        init(_ path: StorageFacts.Path) {
            self.init(path.requested, resolved: path.resolved, exists: path.exists, path.mount, path.classification)
            hops = path.hops.isEmpty ? nil : path.hops.map(HopEntry.init)
            guard path.exists != true else { return }
            existingParent = path.existing.jsonText
            existingParentBase64 = path.existing.jsonBase64
        }

        init(
            _ path: BytePath, resolved: BytePath, exists: Bool?, _ mount: Mount?, _ classification: Classification
        ) {
            self.path = path.jsonText
            pathBase64 = path.jsonBase64
            self.resolved = resolved.jsonText
            resolvedBase64 = resolved.jsonBase64
            _exists = Nullable(wrappedValue: exists)
            lifetime = classification.lifetime
            confidence = classification.confidence
            _mountPoint = Nullable(wrappedValue: mount?.mountPoint.jsonText)
            mountPointBase64 = mount?.mountPoint.jsonBase64
            reason = classification.reason
        }
    }

    /// ``StorageReport/schema``.
    public var schema: String
    /// The visible mounts, in the kernel's order.
    public var mounts: [MountEntry]
    /// The volumes, by mount point.
    public var volumes: [VolumeEntry]
    /// The paths, in the order in which they were asked for.
    public var paths: [PathEntry]
    /// What could not be read, one sentence each; left out when there is nothing to say.
    public var problems: [String]?

    /// Makes the document from facts.
    public init(_ facts: StorageFacts, paths requested: [BytePath] = []) {
        schema = Self.schema
        mounts = facts.visible.map { MountEntry($0.mount, $0.classification) }
        volumes = facts.volumes.map(VolumeEntry.init)
        paths = requested.map { path in
            do throws(PathResolution.Failure) {
                return PathEntry(try facts.path(path))
            } catch {
                let unknown = Classification(.unknown, .certain, error.description)
                return PathEntry(path, resolved: path, exists: false, nil, unknown)
            }
        }
        problems = facts.errors.isEmpty ? nil : facts.errors.map(\.description)
    }

    /// Reads the mounts, asks the volumes, and follows the paths. Blocks for at most a probe's deadline for the volumes
    /// together and for each path that leads into a mount which may hang.
    ///
    /// - Throws: ``LinuxError`` when mountinfo cannot be read.
    public static func gather(
        paths: [BytePath] = [], options: StorageFacts.Options = StorageFacts.Options()
    ) throws(LinuxError) -> StorageReport {
        StorageReport(try StorageFacts.gather(options), paths: paths)
    }
}
