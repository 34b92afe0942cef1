import FoundationEssentials

/// `.packet/lease` on a volume: which pod uses it, whether that pod is alive, and a note for whoever comes next.
///
/// Renewed about once a minute. Age is told by the volume's own clock (the modification times of files), because the
/// clocks of two nodes may differ.
public struct VolumeLease: Codable, Sendable, Equatable {
    /// How the container's memory was when the lease was last renewed.
    public struct Memory: Codable, Sendable, Equatable {
        /// A process and its resident memory.
        public struct Process: Codable, Sendable, Equatable {
            /// The process, as seen in the container.
            public var pid: Int32
            /// What a person calls it; no arguments, which may hold tokens.
            public var command: String
            /// Resident bytes.
            public var bytes: UInt64

            /// Names a process.
            public init(pid: Int32, command: String, bytes: UInt64) {
                self.pid = pid
                self.command = command
                self.bytes = bytes
            }
        }

        /// Processes that the kernel has killed for want of memory in this control group.
        public var outOfMemoryKills: UInt64
        /// Bytes in use that the kernel cannot take back: without the page cache.
        public var usedBytes: UInt64
        /// The limit; null when there is none.
        public var limitBytes: UInt64?
        /// The largest process; null when none could be looked at.
        public var largest: Process?

        /// Describes the memory.
        public init(outOfMemoryKills: UInt64, usedBytes: UInt64, limitBytes: UInt64?, largest: Process?) {
            self.outOfMemoryKills = outOfMemoryKills
            self.usedBytes = usedBytes
            self.limitBytes = limitBytes
            self.largest = largest
        }

        enum CodingKeys: String, CodingKey {
            case outOfMemoryKills = "oom_kills"
            case usedBytes = "used_bytes"
            case limitBytes = "limit_bytes"
            case largest
        }
    }

    /// Bytes used of a limit.
    public struct Space: Codable, Sendable, Equatable {
        /// Bytes in use.
        public var usedBytes: UInt64
        /// Bytes that there are, or that may be used.
        public var limitBytes: UInt64

        /// Describes a use.
        public init(usedBytes: UInt64, limitBytes: UInt64) {
            self.usedBytes = usedBytes
            self.limitBytes = limitBytes
        }

        enum CodingKeys: String, CodingKey {
            case usedBytes = "used_bytes"
            case limitBytes = "limit_bytes"
        }
    }

    /// Seconds between renewals that every agent keeps to.
    public static let renewalSeconds = 60
    /// Seconds after which a lease that was not renewed belongs to nobody.
    static let lifetimeSeconds: Int64 = 180

    /// `packet-agent/lease/1`.
    public var schema = "packet-agent/lease/1"
    /// The pod, by its UID, else by its host name.
    public var pod: String
    /// Differs for each start of an agent.
    public var start: String
    /// When the agent started, RFC 3339 in UTC.
    public var startedAt: String
    /// When the lease was last renewed, RFC 3339 in UTC.
    public var renewedAt: String
    /// The signal that asked the agent to end; null while it runs, and for ever when it was killed.
    public var ended: String?
    /// The memory of the container at that time; null when it could not be read.
    public var memory: Memory?
    /// Ephemeral storage against the pod's limit; null when there is none or it is not measured yet.
    public var ephemeral: Space?
    /// The disk that holds the container's layer; null when it does not tell.
    public var disk: Space?

    /// Makes a lease.
    public init(
        pod: String, start: String, startedAt: String, renewedAt: String, ended: String?, memory: Memory?,
        ephemeral: Space? = nil, disk: Space? = nil
    ) {
        self.pod = pod
        self.start = start
        self.startedAt = startedAt
        self.renewedAt = renewedAt
        self.ended = ended
        self.memory = memory
        self.ephemeral = ephemeral
        self.disk = disk
    }

    enum CodingKeys: String, CodingKey {
        case schema, pod, start, ended, memory, ephemeral, disk
        case startedAt = "started_at"
        case renewedAt = "renewed_at"
    }
}

/// As which of its volumes a control plane attaches a volume; noted on the volume at the first time.
public struct VolumeAttachment: Codable, Sendable, Equatable {
    /// The control plane's base URL: another one may give the same number to another volume.
    public var controlPlane: String
    /// The volume's id there.
    public var volumeID: Int64

    /// Names a control plane's volume.
    public init(controlPlane: String, volumeID: Int64) {
        self.controlPlane = controlPlane
        self.volumeID = volumeID
    }

    enum CodingKeys: String, CodingKey {
        case controlPlane = "control_plane"
        case volumeID = "volume_id"
    }
}

/// What was found by writing to a volume: who else uses it, which volume it is, and what does not work there.
public struct VolumeExamination: Codable, Sendable, Equatable {
    /// The id in `.packet/volume.json`; null when it could not be read or made.
    public var identity: String?
    /// As which of its volumes a control plane has attached it, as noted there; null before one did.
    public var attachment: VolumeAttachment?
    /// Another pod that holds the lease, or asks for it while we hold it.
    public var otherPod: VolumeLease?
    /// What the agent that held the lease before this start left behind.
    public var previous: VolumeLease?
    /// The user to whom a file belongs that root makes; null when that is root, or when this agent is not root.
    public var rootBecomes: UInt32?
    /// What file locks answered; null when they work.
    public var lockFailure: String?
    /// Milliseconds to make a file of 4 KiB durable and remove it.
    public var writeMilliseconds: Double?
    /// Why something could not be written; null when all could.
    public var failure: String?

    /// Nothing is known yet.
    public init() {}

    enum CodingKeys: String, CodingKey {
        case identity, attachment, previous, failure
        case otherPod = "other_pod"
        case rootBecomes = "root_becomes_uid"
        case lockFailure = "lock_failure"
        case writeMilliseconds = "write_ms"
    }
}

extension StorageProbe {
    /// Renews the lease on a volume and tries what programs rely on. Writes to `.packet` on the volume, in the child only.
    ///
    /// - Parameters:
    ///   - attachment: what the control plane says that is mounted there; nil when it says nothing.
    ///   - renews: false to leave the lease as it is and only see who has it.
    public func examine(
        _ mount: Mount, lease: VolumeLease, attachment: VolumeAttachment? = nil, renews: Bool = true
    ) -> Outcome<VolumeExamination> {
        func encode(_ value: some Encodable) -> String? { (try? JSONEncoder().encode(value))?.base64EncodedString() }
        guard let lease = encode(lease) else { return .failed("the lease cannot be written as JSON") }
        let more =
            [renews ? "--lease" : "--look", lease] + (attachment.flatMap(encode).map { ["--attachment", $0] } ?? [])
        return ask("examine", mount.mountPoint, on: mount, more: more) { $0.examination }
    }
}
