public import ControlPlaneAPI
import FoundationEssentials
public import LinuxKit
public import Settings
public import Storage

/// `status --json`: how the agent, its boot, the volumes, the set-up script, the GPUs and the delivery are.
public struct StatusDocument: Codable, Sendable, Equatable {
    /// The GPUs in one word and one number.
    public struct GPU: Codable, Sendable, Equatable {
        /// NVML's state; `off` when GPUs are not sampled or no agent runs.
        public var state: String
        /// GPUs and MIG instances that can be allocated.
        public var devices: Int
    }

    /// How the control plane gets its records.
    public struct Delivery: Codable, Sendable, Equatable {
        /// Records that wait.
        public var spooled: UInt64
        /// Seconds for which the oldest of them has waited; null when none waits.
        @Nullable public var oldestUnackedSeconds: Double?
        /// Seconds since the last acknowledgement; null before the first.
        @Nullable public var lastAckSeconds: Double?
        /// Why records are not delivered at the moment; null when they are.
        @Nullable public var failure: String?

        enum CodingKeys: String, CodingKey {
            case spooled, failure
            case oldestUnackedSeconds = "oldest_unacked_s"
            case lastAckSeconds = "last_ack_s"
        }
    }

    /// `packet-agent/status/1`.
    public var schema = "packet-agent/status/1"
    /// The running agent's version; null when none runs.
    @Nullable public var agent: String?
    /// Its process id.
    @Nullable public var pid: Int32?
    /// Seconds since it started.
    @Nullable public var uptimeSeconds: Double?
    /// The boot pass: `boot.json`; state `waiting` before it wrote one.
    public var boot: JSONValue
    /// The volumes.
    public var volumes: [StorageReport.VolumeEntry]
    /// The set-up script: `setup.json`; state `absent` before it wrote one.
    public var setup: JSONValue
    /// The GPUs.
    public var gpu: GPU
    /// The delivery.
    public var delivery: Delivery

    enum CodingKeys: String, CodingKey {
        case schema, agent, pid, boot, volumes, setup, gpu, delivery
        case uptimeSeconds = "uptime_s"
    }

    /// The state of the boot pass.
    public var bootState: String {
        if case .object(let fields) = boot, case .string(let state)? = fields["state"] { return state }
        return "waiting"
    }

    /// The boot in a few words: its state, and while it goes on the step that it is at.
    public var bootSummary: String {
        guard case .object(let fields) = boot, case .array(let steps)? = fields["steps"],
            case .object(let step)? = steps.last, step["state"] == .string("running"),
            case .string(let name)? = step["name"]
        else { return bootState }
        return "\(bootState) (\(name))"
    }

    /// What failed in the boot: a line for each step.
    public var bootFailures: [String] {
        guard case .object(let fields) = boot, case .array(let steps)? = fields["steps"] else { return [] }
        return steps.compactMap { step in
            guard case .object(let step) = step, step["state"] == .string("failed"),
                case .string(let name)? = step["name"]
            else { return nil }
            guard case .string(let detail)? = step["detail"] else { return "\(name) failed" }
            return "\(name) failed: \(detail)"
        }
    }

    /// What can be known without a running agent: files and mounts. Asks the volumes, with their deadline.
    public static func withoutDaemon(_ configuration: AgentConfiguration) -> StatusDocument {
        let options = PodIdentity(configuration).storageOptions(configuration)
        let volumes = (try? StorageReport.gather(options: options))?.volumes ?? []
        return fromFiles(AgentPaths(configuration), volumes: volumes)
    }

    static func fromFiles(_ paths: AgentPaths, volumes: [StorageReport.VolumeEntry]) -> StatusDocument {
        StatusDocument(
            agent: nil, pid: nil, uptimeSeconds: nil,
            boot: read(paths.boot) ?? .object(["state": .string("waiting"), "steps": .array([])]),
            volumes: volumes,
            setup: read(paths.setup)
                ?? .object(["state": .string("absent"), "exit_code": .null, "reason": .null, "log": .null]),
            gpu: GPU(state: "off", devices: 0),
            delivery: Delivery(spooled: 0, oldestUnackedSeconds: nil, lastAckSeconds: nil, failure: nil))
    }

    private static func read(_ path: String) -> JSONValue? {
        guard let bytes = try? LocalFile.read(path, limit: 1 << 20) else { return nil }
        return try? JSONDecoder().decode(JSONValue.self, from: Data(bytes))
    }
}
