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

    /// Makes a lease.
    public init(pod: String, start: String, startedAt: String, renewedAt: String, ended: String?, memory: Memory?) {
        self.pod = pod
        self.start = start
        self.startedAt = startedAt
        self.renewedAt = renewedAt
        self.ended = ended
        self.memory = memory
    }

    enum CodingKeys: String, CodingKey {
        case schema, pod, start, ended, memory
        case startedAt = "started_at"
        case renewedAt = "renewed_at"
    }
}

/// What was found by writing to a volume: who else uses it, which volume it is, and what does not work there.
public struct VolumeExamination: Codable, Sendable, Equatable {
    /// The id in `.packet/volume.json`; null when it could not be read or made.
    public var identity: String?
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
        case identity, previous, failure
        case otherPod = "other_pod"
        case rootBecomes = "root_becomes_uid"
        case lockFailure = "lock_failure"
        case writeMilliseconds = "write_ms"
    }
}

extension StorageProbe {
    /// Renews the lease on a volume and tries what programs rely on. Writes to `.packet` on the volume, in the child only.
    public func examine(_ mount: Mount, lease: VolumeLease) -> Outcome<VolumeExamination> {
        guard let encoded = try? JSONEncoder().encode(lease).base64EncodedString() else {
            return .failed("the lease cannot be written as JSON")
        }
        return ask("examine", mount.mountPoint, on: mount, more: ["--lease", encoded]) { $0.examination }
    }
}
