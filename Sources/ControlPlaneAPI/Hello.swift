/// `POST /v1/pods/{pod}/hello`: the agent announces itself.
public struct HelloRequest: Sendable, Equatable, Codable {
    /// A persistent mount as the agent sees it.
    public struct Volume: Sendable, Equatable, Codable {
        /// The volume's name.
        public var name: String
        /// Where it is mounted, or should be.
        public var mountPoint: String
        /// `ready`, `stuck`, `missing` or `read_only`.
        public var state: String

        /// Makes a volume.
        public init(name: String, mountPoint: String, state: String) {
            self.name = name
            self.mountPoint = mountPoint
            self.state = state
        }

        enum CodingKeys: String, CodingKey {
            case name, state
            case mountPoint = "mount_point"
        }
    }

    /// A GPU or MIG instance as the agent sees it.
    public struct GPU: Sendable, Equatable, Codable {
        /// NVML's UUID.
        public var uuid: String
        /// The product's name.
        public var name: String
        /// NVML's index.
        public var index: Int
        /// UUID of the GPU that a MIG instance is a part of.
        public var parentUUID: String?

        /// Makes a GPU.
        public init(uuid: String, name: String, index: Int, parentUUID: String? = nil) {
            self.uuid = uuid
            self.name = name
            self.index = index
            self.parentUUID = parentUUID
        }

        enum CodingKeys: String, CodingKey {
            case uuid, name, index
            case parentUUID = "parent_uuid"
        }
    }

    /// This agent start: 32 lower-case hexadecimal digits.
    public var epoch: String
    /// The epoch of the agent start before, if its records were found on disk.
    public var prevEpoch: String?
    /// `/proc/sys/kernel/random/boot_id` of the host.
    public var bootID: String
    /// Version of the agent.
    public var agentVersion: String
    /// Image of the container, if known.
    public var image: String?
    /// When the agent started, by its own clock.
    public var startedAt: Timestamp
    /// Volumes seen or expected.
    public var volumes: [Volume]
    /// GPUs seen.
    public var gpus: [GPU]

    /// Makes a request.
    public init(
        epoch: String, prevEpoch: String? = nil, bootID: String, agentVersion: String, image: String? = nil,
        startedAt: Timestamp, volumes: [Volume] = [], gpus: [GPU] = []
    ) {
        self.epoch = epoch
        self.prevEpoch = prevEpoch
        self.bootID = bootID
        self.agentVersion = agentVersion
        self.image = image
        self.startedAt = startedAt
        self.volumes = volumes
        self.gpus = gpus
    }

    enum CodingKeys: String, CodingKey {
        case epoch, image, volumes, gpus
        case prevEpoch = "prev_epoch"
        case bootID = "boot_id"
        case agentVersion = "agent_version"
        case startedAt = "started_at"
    }
}

/// Steps of a pod's boot that the control plane lets run. It can only switch off: what the pod's own configuration switches
/// off stays off.
public struct BootFeatures: Sendable, Equatable, Codable {
    /// Waiting for an expected volume.
    public var volumeWait: Bool
    /// Noting on the volume which volume it is and which pod uses it.
    public var lease: Bool
    /// Putting back what was captured.
    public var restore: Bool
    /// Variables for sessions.
    public var environment: Bool
    /// The volume's set-up scripts.
    public var setup: Bool

    /// Makes features; all are on unless told otherwise.
    public init(
        volumeWait: Bool = true, lease: Bool = true, restore: Bool = true, environment: Bool = true, setup: Bool = true
    ) {
        self.volumeWait = volumeWait
        self.lease = lease
        self.restore = restore
        self.environment = environment
        self.setup = setup
    }

    /// Their names as they are written.
    public enum CodingKeys: String, CodingKey, CaseIterable, Sendable {
        case lease, restore, environment, setup
        case volumeWait = "volume_wait"
    }

    /// Reads features; one that is missing is on.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func isOn(_ key: CodingKeys) throws -> Bool { try container.decodeIfPresent(Bool.self, forKey: key) ?? true }
        self.init(
            volumeWait: try isOn(.volumeWait), lease: try isOn(.lease), restore: try isOn(.restore),
            environment: try isOn(.environment), setup: try isOn(.setup))
    }

    /// Switches one off.
    public mutating func switchOff(_ feature: CodingKeys) {
        switch feature {
        case .volumeWait: volumeWait = false
        case .lease: lease = false
        case .restore: restore = false
        case .environment: environment = false
        case .setup: setup = false
        }
    }
}

/// The answer to a hello.
public struct HelloAnswer: Sendable, Equatable, Codable {
    /// The volume that the pod should find.
    public struct ExpectedVolume: Sendable, Equatable, Codable {
        /// The volume.
        public var id: Int64
        /// Its name.
        public var name: String
        /// Where it should be mounted.
        public var mountPoint: String

        /// Makes an expected volume.
        public init(id: Int64, name: String, mountPoint: String) {
            self.id = id
            self.name = name
            self.mountPoint = mountPoint
        }

        enum CodingKeys: String, CodingKey {
            case id, name
            case mountPoint = "mount_point"
        }
    }

    /// The control plane's clock.
    public var serverTime: Timestamp
    /// Time between two samples of a GPU, in milliseconds.
    public var sampleIntervalMilliseconds: UInt64
    /// Length of a usage interval, in milliseconds.
    public var intervalMilliseconds: UInt64
    /// Time between two reports, in milliseconds.
    public var reportIntervalMilliseconds: UInt64
    /// High-water marks of the pod's latest epochs.
    public var durable: [DurableMark]
    /// The snapshot that the pod was restored from, if any.
    public var snapshot: Snapshot?
    /// The pod's allocation, without its token.
    public var subscription: Subscription?
    /// The volume that the subscription attached, if any.
    public var expectedVolume: ExpectedVolume?
    /// What of the boot the pod may do; nil leaves all of it to the pod's configuration.
    public var features: BootFeatures?

    /// Makes an answer.
    public init(
        serverTime: Timestamp, sampleIntervalMilliseconds: UInt64, intervalMilliseconds: UInt64,
        reportIntervalMilliseconds: UInt64, durable: [DurableMark], snapshot: Snapshot? = nil,
        subscription: Subscription? = nil, expectedVolume: ExpectedVolume? = nil, features: BootFeatures? = nil
    ) {
        self.serverTime = serverTime
        self.sampleIntervalMilliseconds = sampleIntervalMilliseconds
        self.intervalMilliseconds = intervalMilliseconds
        self.reportIntervalMilliseconds = reportIntervalMilliseconds
        self.durable = durable
        self.snapshot = snapshot
        self.subscription = subscription
        self.expectedVolume = expectedVolume
        self.features = features
    }

    enum CodingKeys: String, CodingKey {
        case durable, snapshot, subscription, features
        case serverTime = "server_time"
        case sampleIntervalMilliseconds = "sample_interval_ms"
        case intervalMilliseconds = "interval_ms"
        case reportIntervalMilliseconds = "report_interval_ms"
        case expectedVolume = "expected_volume"
    }

    /// Writes every key; what is absent is `null`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(serverTime, forKey: .serverTime)
        try container.encode(sampleIntervalMilliseconds, forKey: .sampleIntervalMilliseconds)
        try container.encode(intervalMilliseconds, forKey: .intervalMilliseconds)
        try container.encode(reportIntervalMilliseconds, forKey: .reportIntervalMilliseconds)
        try container.encode(durable, forKey: .durable)
        try container.encode(snapshot, forKey: .snapshot)
        try container.encode(subscription, forKey: .subscription)
        try container.encode(expectedVolume, forKey: .expectedVolume)
        try container.encode(features, forKey: .features)
    }
}
