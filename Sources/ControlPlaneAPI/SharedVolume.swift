/// A persistent volume of a team: billed by the hour from creation to deletion, attached to at most one pod at a time.
public struct SharedVolume: Sendable, Equatable, Codable {
    /// Whether a volume can be attached.
    public enum State: String, Sendable, Codable {
        /// No pod holds it.
        case available = "AVAILABLE"
        /// One pod holds it.
        case attached = "ATTACHED"
        /// Its data is gone; kept for the bill.
        case deleted = "DELETED"
    }

    /// Number of the volume.
    public var id: Int64
    /// Name; names may repeat within a team.
    public var name: String
    /// Size in GB (10^9 bytes).
    public var sizeGB: Int64
    /// Whether it can be attached.
    public var state: State
    /// Where a pod finds it.
    public var mountPoint: String
    /// The subscription that holds it, if any.
    public var subscriptionID: String?
    /// Start of its billing.
    public var createdAt: Timestamp
    /// End of its billing, if it was deleted.
    public var deletedAt: Timestamp?

    /// Makes a volume.
    public init(
        id: Int64, name: String, sizeGB: Int64, state: State, subscriptionID: String? = nil, createdAt: Timestamp,
        deletedAt: Timestamp? = nil
    ) {
        self.id = id
        self.name = name
        self.sizeGB = sizeGB
        self.state = state
        self.mountPoint = Self.mountPoint(ofName: name)
        self.subscriptionID = subscriptionID
        self.createdAt = createdAt
        self.deletedAt = deletedAt
    }

    /// Where a volume of this name is mounted in a pod.
    public static func mountPoint(ofName name: String) -> String { "/mnt/\(name)" }

    /// Whether a name can be a directory below `/mnt`: 1 to 63 of `A-Z a-z 0-9 . _ -`, the first a letter or digit.
    public static func isValid(name: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
        }
        let punctuation = Array("._-".utf8)
        guard let first = name.utf8.first, (1...63).contains(name.utf8.count), isAlphanumeric(first) else {
            return false
        }
        return name.utf8.allSatisfy { isAlphanumeric($0) || punctuation.contains($0) }
    }

    enum CodingKeys: String, CodingKey {
        case id, name, state
        case sizeGB = "size_gb"
        case mountPoint = "mount_point"
        case subscriptionID = "subscription_id"
        case createdAt = "created_at"
        case deletedAt = "deleted_at"
    }

    /// Writes every key; what is absent is `null`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(name, forKey: .name)
        try container.encode(sizeGB, forKey: .sizeGB)
        try container.encode(state, forKey: .state)
        try container.encode(mountPoint, forKey: .mountPoint)
        try container.encode(subscriptionID, forKey: .subscriptionID)
        try container.encode(createdAt, forKey: .createdAt)
        try container.encode(deletedAt, forKey: .deletedAt)
    }
}

/// `POST /v1/volumes`.
public struct VolumeRequest: Sendable, Equatable, Codable {
    /// Name of the volume, see ``SharedVolume/isValid(name:)``.
    public var name: String
    /// Size in GB (10^9 bytes).
    public var sizeGB: Int64

    /// Makes a request.
    public init(name: String, sizeGB: Int64) {
        self.name = name
        self.sizeGB = sizeGB
    }

    enum CodingKeys: String, CodingKey {
        case name
        case sizeGB = "size_gb"
    }
}

/// `GET /v1/volumes`.
public struct VolumeList: Sendable, Equatable, Codable {
    /// One page of volumes, oldest first.
    public var volumes: [SharedVolume]
    /// Ask again with this for the next page; absent on the last.
    public var nextCursor: String?

    /// Makes a page.
    public init(volumes: [SharedVolume], nextCursor: String? = nil) {
        self.volumes = volumes
        self.nextCursor = nextCursor
    }

    enum CodingKeys: String, CodingKey {
        case volumes
        case nextCursor = "next_cursor"
    }

    /// Writes every key; what is absent is `null`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(volumes, forKey: .volumes)
        try container.encode(nextCursor, forKey: .nextCursor)
    }
}
