public import AtRisk
public import Boot
public import Catalog
public import ControlPlaneAPI
public import Environment
public import GPU
public import Limits
public import Settings
public import Storage

/// What the rooms gathered, each with its own deadline: the only thing that checks look at.
public struct Facts: Sendable {
    /// A cache or store of a tool and where it lies now.
    public struct ToolPath: Sendable {
        /// The tool.
        public var tool: ToolLocation
        /// Where it puts its data in this session.
        public var path: String
        /// How long data there lives.
        public var classification: Classification

        /// Makes a tool path.
        public init(tool: ToolLocation, path: String, classification: Classification) {
            self.tool = tool
            self.path = path
            self.classification = classification
        }
    }

    /// A file that the environment is written to.
    public enum FileState: Sendable, Equatable {
        /// As the plan wants it.
        case current
        /// There, but different.
        case outdated
        /// Not there.
        case missing
    }

    /// What the daemon says of itself.
    public struct Daemon: Sendable {
        /// Its version.
        public var version: String
        /// Its process id.
        public var pid: Int32
        /// Records that wait for delivery.
        public var spooled: UInt64
        /// Seconds for which the oldest of them has waited.
        public var oldestUnackedSeconds: Double?
        /// Seconds since the last acknowledgement.
        public var lastAckSeconds: Double?
        /// Why records are not delivered.
        public var failure: String?

        /// Makes a daemon's state.
        public init(
            version: String, pid: Int32, spooled: UInt64, oldestUnackedSeconds: Double?, lastAckSeconds: Double?,
            failure: String?
        ) {
            self.version = version
            self.pid = pid
            self.spooled = spooled
            self.oldestUnackedSeconds = oldestUnackedSeconds
            self.lastAckSeconds = lastAckSeconds
            self.failure = failure
        }
    }

    /// What the daemon found by writing to a volume.
    public struct Examination: Sendable {
        /// What the last look found.
        public var examination: VolumeExamination
        /// The identity that was seen there first since this container started.
        public var firstIdentity: String?
        /// How the container ended that held the lease before.
        public var lastEnd: (cause: String, text: String)?

        /// Makes an examination.
        public init(examination: VolumeExamination, firstIdentity: String?, lastEnd: (cause: String, text: String)?) {
            self.examination = examination
            self.firstIdentity = firstIdentity
            self.lastEnd = lastEnd
        }
    }

    /// The control plane as configured.
    public struct ControlPlane: Sendable {
        /// Its base URL; empty for none.
        public var url: String
        /// The pod's UID; empty when not configured.
        public var podUID: String
        /// What is wrong with the token file; nil when nothing is.
        public var tokenProblem: String?

        /// Makes the control plane's facts.
        public init(url: String, podUID: String, tokenProblem: String?) {
            self.url = url
            self.podUID = podUID
            self.tokenProblem = tokenProblem
        }
    }

    /// The version that asks.
    public var version = ""
    /// The configuration and what is wrong with it.
    public var configuration: AgentConfiguration.Loaded
    /// Mounts and volumes; nil when mountinfo could not be read.
    public var storage: StorageFacts?
    /// Why it could not be read.
    public var storageFailure: String?
    /// What the daemon found by writing to the volumes, by mount point; empty before it looked.
    public var examinations: [String: Examination] = [:]
    /// Which volume the control plane says is mounted, and where; nil when it says nothing.
    public var expectedVolume: (mountPoint: String, attachment: VolumeAttachment)?
    /// Processes that rely on a volume which is gone or does not answer, by mount point.
    public var usersOfGoneVolumes: [String: [VolumeUser]] = [:]
    /// What the container uses of its limits; nil when not read.
    public var limits: ContainerLimits?
    /// Where the writable layer is.
    public var layer: WritableLayer?
    /// Which volume the environment points to.
    public var primary = PrimaryVolume.Choice.none(why: "no volume is mounted")
    /// Where the tools put their data in this session.
    public var tools: [ToolPath] = []
    /// What would be lost now; nil when it was not measured.
    public var atRisk: AtRiskReport?
    /// Which variables should be set.
    public var plan: EnvironmentPlan?
    /// `env.sh`.
    public var environmentFile = FileState.missing
    /// The file in /etc/profile.d.
    public var profileFile = FileState.missing
    /// The environment of the session that asks; nil when no session does.
    public var session: [String: String]?
    /// The user who asks.
    public var user = EnvironmentPlan.User.root
    /// `boot.json`; nil before the first boot pass.
    public var boot: JSONValue?
    /// How the set-up script went.
    public var setup: SetupRecord?
    /// GPUs, from the daemon or from NVML itself; nil when switched off.
    public var gpu: GPUSnapshot?
    /// The daemon; nil when none runs.
    public var daemon: Daemon?
    /// The control plane.
    public var controlPlane = ControlPlane(url: "", podUID: "", tokenProblem: nil)

    /// Facts of which only the configuration is known.
    public init(configuration: AgentConfiguration.Loaded) { self.configuration = configuration }
}
