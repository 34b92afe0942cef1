/// What a pod is made of: the fields that a snapshot and a subscription share, named as the platform documents them.
///
/// Reading accepts what older clients wrote: `poolId` as a number, `hfModel` for `hfItemId`, `name` for `displayName`.
public struct PodShape: Sendable, Equatable {
    /// What people call it.
    public var displayName: String
    /// The GPU pool.
    public var poolID: String
    /// The pool's name.
    public var poolName: String?
    /// GPUs.
    public var vgpus: Int
    /// The kind of machine.
    public var instanceTypeID: String?
    /// The container's image.
    public var imageUUID: String?
    /// A Hugging Face model or dataset to deploy.
    public var hfItemID: String?
    /// The script that deploys it.
    public var deployScript: String?

    /// Makes a shape.
    public init(
        displayName: String, poolID: String, poolName: String? = nil, vgpus: Int, instanceTypeID: String? = nil,
        imageUUID: String? = nil, hfItemID: String? = nil, deployScript: String? = nil
    ) {
        self.displayName = displayName
        self.poolID = poolID
        self.poolName = poolName
        self.vgpus = vgpus
        self.instanceTypeID = instanceTypeID
        self.imageUUID = imageUUID
        self.hfItemID = hfItemID
        self.deployScript = deployScript
    }

    enum CodingKeys: String, CodingKey {
        case displayName, poolName, vgpus, deployScript
        case poolID = "poolId"
        case instanceTypeID = "instanceTypeId"
        case imageUUID = "imageUuid"
        case hfItemID = "hfItemId"
        // As older clients wrote them.
        case name, hfModel
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        displayName =
            try container.decodeIfPresent(String.self, forKey: .displayName)
            ?? container.decodeIfPresent(String.self, forKey: .name) ?? ""
        poolID = try container.decode(TextOrNumber.self, forKey: .poolID).text
        poolName = try container.decodeIfPresent(String.self, forKey: .poolName)
        vgpus = try container.decodeIfPresent(Int.self, forKey: .vgpus) ?? 1
        instanceTypeID = try container.decodeIfPresent(TextOrNumber.self, forKey: .instanceTypeID)?.text
        imageUUID = try container.decodeIfPresent(String.self, forKey: .imageUUID)
        hfItemID =
            try container.decodeIfPresent(String.self, forKey: .hfItemID)
            ?? container.decodeIfPresent(String.self, forKey: .hfModel)
        deployScript = try container.decodeIfPresent(String.self, forKey: .deployScript)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(displayName, forKey: .displayName)
        try container.encode(poolID, forKey: .poolID)
        try container.encode(poolName, forKey: .poolName)
        try container.encode(vgpus, forKey: .vgpus)
        try container.encode(instanceTypeID, forKey: .instanceTypeID)
        try container.encode(imageUUID, forKey: .imageUUID)
        try container.encode(hfItemID, forKey: .hfItemID)
        try container.encode(deployScript, forKey: .deployScript)
    }
}

/// Text that older clients wrote as a number.
struct TextOrNumber: Codable {
    var text: String

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int64.self) {
            text = String(number)
        } else {
            text = try container.decode(String.self)
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// A number that some clients write as text.
struct NumberOrText: Decodable {
    var number: Int64

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self), let value = Int64(text) {
            number = value
        } else {
            number = try container.decode(Int64.self)
        }
    }
}

/// The part of a snapshot that names a volume.
public struct VolumeReference: Sendable, Equatable {
    /// The volume's number; legacy snapshots have only the name.
    public var id: Int64?
    /// The volume's name.
    public var name: String?
    /// The volume's size in GB.
    public var sizeGB: Int64?

    /// Makes a reference.
    public init(id: Int64? = nil, name: String? = nil, sizeGB: Int64? = nil) {
        self.id = id
        self.name = name
        self.sizeGB = sizeGB
    }

    /// Whether no volume is named.
    public var isEmpty: Bool { id == nil && name == nil }

    enum CodingKeys: String, CodingKey {
        case id = "persistentVolumeId"
        case name = "persistentVolumeName"
        case sizeGB = "persistentVolumeSize"
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decodeIfPresent(NumberOrText.self, forKey: .id)?.number
        name = try container.decodeIfPresent(String.self, forKey: .name)
        sizeGB = try container.decodeIfPresent(NumberOrText.self, forKey: .sizeGB)?.number
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(name, forKey: .name)
        try container.encode(sizeGB, forKey: .sizeGB)
    }
}

/// A configuration bookmark, not a disk image: it names what a pod was made of. Restoring it starts a new pod with the
/// same volume; nothing of the old pod's own files comes back.
public struct Snapshot: Sendable, Equatable, Codable {
    /// The snapshot.
    public var id: String
    /// What the pod was made of.
    public var shape: PodShape
    /// The volume that was attached.
    public var volume: VolumeReference
    /// When it was made.
    public var createdAt: Timestamp

    /// `full` when a volume is named, else `template`.
    public var snapshotType: String { volume.isEmpty ? "template" : "full" }

    /// Makes a snapshot.
    public init(id: String, shape: PodShape, volume: VolumeReference = .init(), createdAt: Timestamp) {
        self.id = id
        self.shape = shape
        self.volume = volume
        self.createdAt = createdAt
    }

    enum CodingKeys: String, CodingKey { case id, snapshotType, createdAt }

    /// Reads a snapshot, a legacy one too.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(String.self, forKey: .id)
        createdAt = try container.decode(Timestamp.self, forKey: .createdAt)
        shape = try PodShape(from: decoder)
        volume = try VolumeReference(from: decoder)
    }

    /// Writes every documented field; what is absent is `null`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(snapshotType, forKey: .snapshotType)
        try container.encode(createdAt, forKey: .createdAt)
        try shape.encode(to: encoder)
        try volume.encode(to: encoder)
    }
}

/// `POST /v1/snapshots` with a team's token: the documented fields, or only a name and the subscription to bookmark.
/// With a pod's token: only a name.
public struct SnapshotRequest: Sendable, Equatable, Codable {
    /// What people call it.
    public var name: String
    /// The subscription whose shape and volume are taken.
    public var subscriptionID: String?
    /// The pod whose shape and volume are taken.
    public var podUID: String?
    /// The fields, when they are given (`poolId` is there).
    public var shape: PodShape?
    /// The volume, when one is given.
    public var volume: VolumeReference

    /// Asks for a bookmark of the pod that asks, or of the named subscription.
    public init(name: String, subscriptionID: String? = nil) {
        self.name = name
        self.subscriptionID = subscriptionID
        podUID = nil
        shape = nil
        volume = .init()
    }

    /// Asks for a bookmark with these fields.
    public init(shape: PodShape, volume: VolumeReference = .init()) {
        name = shape.displayName
        subscriptionID = nil
        podUID = nil
        self.shape = shape
        self.volume = volume
    }

    enum CodingKeys: String, CodingKey {
        case name, displayName
        case subscriptionID = "subscriptionId"
        case podUID = "podUid"
        case poolID = "poolId"
    }

    /// Reads a request; `displayName` and `name` mean the same.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let name =
            try container.decodeIfPresent(String.self, forKey: .displayName)
            ?? container.decodeIfPresent(String.self, forKey: .name)
        guard let name else {
            throw DecodingError.keyNotFound(
                CodingKeys.name, .init(codingPath: decoder.codingPath, debugDescription: "name is missing"))
        }
        self.name = name
        subscriptionID = try container.decodeIfPresent(String.self, forKey: .subscriptionID)
        podUID = try container.decodeIfPresent(String.self, forKey: .podUID)
        shape = container.contains(.poolID) ? try PodShape(from: decoder) : nil
        volume = try VolumeReference(from: decoder)
    }

    /// Writes the request.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        if let shape {
            try shape.encode(to: encoder)
        } else {
            try container.encode(name, forKey: .name)
        }
        try container.encodeIfPresent(subscriptionID, forKey: .subscriptionID)
        try container.encodeIfPresent(podUID, forKey: .podUID)
        if !volume.isEmpty { try volume.encode(to: encoder) }
    }
}

/// `GET /v1/snapshots`.
public struct SnapshotList: Sendable, Equatable, Codable {
    /// One page of snapshots, oldest first.
    public var snapshots: [Snapshot]
    /// Ask again with this for the next page; absent on the last.
    public var nextCursor: String?

    /// Makes a page.
    public init(snapshots: [Snapshot], nextCursor: String? = nil) {
        self.snapshots = snapshots
        self.nextCursor = nextCursor
    }

    enum CodingKeys: String, CodingKey {
        case snapshots
        case nextCursor = "next_cursor"
    }

    /// Writes every key; what is absent is `null`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(snapshots, forKey: .snapshots)
        try container.encode(nextCursor, forKey: .nextCursor)
    }
}
