import FoundationEssentials
import LinuxKit
public import Storage

/// `volumes.json` in the runtime directory: what the daemon found by writing to the volumes, for the doctor.
public struct VolumesDocument: Codable, Sendable, Equatable {
    /// One volume.
    public struct Entry: Codable, Sendable, Equatable {
        /// Where it is mounted.
        public var mountPoint: String
        /// The identity that was seen there first since this container started.
        public var firstIdentity: String?
        /// What the last look found; null before one was answered.
        public var examination: VolumeExamination?
        /// How the container ended that held the lease before this one; null when none did.
        public var lastEnd: LastEnd?

        enum CodingKeys: String, CodingKey {
            case examination
            case mountPoint = "mount_point"
            case firstIdentity = "first_identity"
            case lastEnd = "last_end"
        }
    }

    /// How the last container ended.
    public struct LastEnd: Codable, Sendable, Equatable {
        /// `asked`, `outOfMemory` or `unknown`.
        public var cause: String
        /// One or two sentences.
        public var text: String
    }

    /// `packet-agent/volumes/1`.
    public var schema = "packet-agent/volumes/1"
    /// When the last look was, RFC 3339 in UTC.
    public var asOf: String
    /// The volumes by mount point.
    public var volumes: [Entry]

    enum CodingKeys: String, CodingKey {
        case schema, volumes
        case asOf = "as_of"
    }

    /// Reads the document; nil when there is none.
    public static func read(_ path: String) -> VolumesDocument? {
        (try? LocalFile.read(path, limit: 1 << 20)).flatMap {
            try? JSONDecoder().decode(VolumesDocument.self, from: Data($0))
        }
    }

    func write(to path: String) throws(LinuxError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        // Strings and numbers always encode.
        try AtomicFile.write(Array((try? encoder.encode(self)) ?? Data()), to: path)
    }
}
