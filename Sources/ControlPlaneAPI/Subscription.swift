/// A pod's allocation: the authority for billed GPU time, from its creation to its end.
public struct Subscription: Sendable, Equatable, Codable {
    /// Whether GPUs are allocated.
    public enum State: String, Sendable, Codable {
        /// GPUs are allocated.
        case active = "ACTIVE"
        /// The pod is gone.
        case ended = "ENDED"
    }

    /// The subscription.
    public var id: String
    /// The pod's UID (Kubernetes metadata.uid).
    public var podUID: String
    /// What the pod is made of.
    public var shape: PodShape
    /// Volumes attached; none or one.
    public var sharedVolumeIDs: [Int64]
    /// Whether GPUs are allocated.
    public var state: State
    /// The snapshot that it was restored from, if any.
    public var snapshotID: String?
    /// Start of the allocation.
    public var createdAt: Timestamp
    /// End of the allocation.
    public var endedAt: Timestamp?
    /// A variable for the pod's specification: a Kubernetes EnvVar (core/v1).
    public struct Variable: Sendable, Equatable, Codable {
        /// The variable's name.
        public var name: String
        /// Its value.
        public var value: String

        /// Names a variable.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The pod's secret, only in the answer that created the subscription; place it into the pod as a 0600 file.
    public var podToken: String?
    /// What the pod's specification should set so that every process has its caches on the volume, also one that is started
    /// directly in the container; only in the answer that created the subscription, and only with a volume.
    public var podEnvironment: [Variable]?

    /// Makes a subscription.
    public init(
        id: String, podUID: String, shape: PodShape, sharedVolumeIDs: [Int64], state: State, snapshotID: String? = nil,
        createdAt: Timestamp, endedAt: Timestamp? = nil, podToken: String? = nil
    ) {
        self.id = id
        self.podUID = podUID
        self.shape = shape
        self.sharedVolumeIDs = sharedVolumeIDs
        self.state = state
        self.snapshotID = snapshotID
        self.createdAt = createdAt
        self.endedAt = endedAt
        self.podToken = podToken
    }

    enum CodingKeys: String, CodingKey {
        case id, state, createdAt, endedAt, podToken, podEnvironment
        case podUID = "podUid"
        case sharedVolumeIDs = "sharedVolumeIds"
        case snapshotID = "snapshotId"
    }

    /// Reads a subscription.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(String.self, forKey: .id)
        podUID = try container.decode(String.self, forKey: .podUID)
        sharedVolumeIDs = try container.decode([Int64].self, forKey: .sharedVolumeIDs)
        state = try container.decode(State.self, forKey: .state)
        snapshotID = try container.decodeIfPresent(String.self, forKey: .snapshotID)
        createdAt = try container.decode(Timestamp.self, forKey: .createdAt)
        endedAt = try container.decodeIfPresent(Timestamp.self, forKey: .endedAt)
        podToken = try container.decodeIfPresent(String.self, forKey: .podToken)
        podEnvironment = try container.decodeIfPresent([Variable].self, forKey: .podEnvironment)
        shape = try PodShape(from: decoder)
    }

    /// Writes every key; what is absent is `null`, except what only a creating answer has, which is left out.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(podUID, forKey: .podUID)
        try shape.encode(to: encoder)
        try container.encode(sharedVolumeIDs, forKey: .sharedVolumeIDs)
        try container.encode(state, forKey: .state)
        try container.encode(snapshotID, forKey: .snapshotID)
        try container.encode(createdAt, forKey: .createdAt)
        try container.encode(endedAt, forKey: .endedAt)
        try container.encodeIfPresent(podToken, forKey: .podToken)
        try container.encodeIfPresent(podEnvironment, forKey: .podEnvironment)
    }
}

/// `POST /v1/subscriptions`.
public struct SubscriptionRequest: Sendable, Equatable, Codable {
    /// What the pod is made of.
    public var shape: PodShape
    /// Volumes to attach; none or one.
    public var sharedVolumeIDs: [Int64]
    /// The pod's UID, when the platform knows it already; else the control plane makes one.
    public var podUID: String?

    /// Makes a request.
    public init(shape: PodShape, sharedVolumeIDs: [Int64] = [], podUID: String? = nil) {
        self.shape = shape
        self.sharedVolumeIDs = sharedVolumeIDs
        self.podUID = podUID
    }

    enum CodingKeys: String, CodingKey {
        case sharedVolumeIDs = "sharedVolumeIds"
        case podUID = "podUid"
    }

    /// Reads a request.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        shape = try PodShape(from: decoder)
        sharedVolumeIDs = try container.decodeIfPresent([Int64].self, forKey: .sharedVolumeIDs) ?? []
        podUID = try container.decodeIfPresent(String.self, forKey: .podUID)
    }

    /// Writes the request.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try shape.encode(to: encoder)
        try container.encode(sharedVolumeIDs, forKey: .sharedVolumeIDs)
        try container.encodeIfPresent(podUID, forKey: .podUID)
    }
}

/// `POST /v1/snapshots/{id}/restore`; every member may be left out.
public struct RestoreRequest: Sendable, Equatable, Codable {
    /// Name of the new pod; else the snapshot's.
    public var name: String?
    /// The pod's UID, when the platform knows it already.
    public var podUID: String?
    /// False to start without the volume; true when left out.
    public var attachStorage: Bool?
    /// The volume to attach instead of the one that the snapshot names.
    public var persistentVolumeID: Int64?

    /// Makes a request.
    public init(
        name: String? = nil, podUID: String? = nil, attachStorage: Bool? = nil, persistentVolumeID: Int64? = nil
    ) {
        self.name = name
        self.podUID = podUID
        self.attachStorage = attachStorage
        self.persistentVolumeID = persistentVolumeID
    }

    enum CodingKeys: String, CodingKey {
        case name, attachStorage
        case podUID = "podUid"
        case persistentVolumeID = "persistentVolumeId"
    }
}

/// `GET /v1/subscriptions`.
public struct SubscriptionList: Sendable, Equatable, Codable {
    /// One page of subscriptions, oldest first.
    public var subscriptions: [Subscription]
    /// Ask again with this for the next page; absent on the last.
    public var nextCursor: String?

    /// Makes a page.
    public init(subscriptions: [Subscription], nextCursor: String? = nil) {
        self.subscriptions = subscriptions
        self.nextCursor = nextCursor
    }

    enum CodingKeys: String, CodingKey {
        case subscriptions
        case nextCursor = "next_cursor"
    }

    /// Writes every key; what is absent is `null`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(subscriptions, forKey: .subscriptions)
        try container.encode(nextCursor, forKey: .nextCursor)
    }
}
