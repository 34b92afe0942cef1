/// The agent's configuration: one tree in which every value has a default.
///
/// Read from TOML (``AgentConfiguration/load(path:environment:)``); every key can be overridden by a `PACKET_AGENT_*`
/// variable. ``Setting/all`` is the one table of keys: reading, overriding, showing and documenting all use it.
public struct AgentConfiguration: Sendable, Equatable {
    /// Where the control plane is.
    public struct ControlPlane: Sendable, Equatable {
        /// Base URL, `http://` or `https://`; empty when there is none.
        public var url = ""
        /// The pod's UID as Kubernetes and the control plane know it.
        public var podUID = ""
        /// File with the pod's bearer token.
        public var tokenFile = "/run/secrets/packet-agent/token"
        /// File with additional certificate authorities in PEM; empty for the system's.
        public var caFile = ""
    }

    /// The agent itself.
    public struct Agent: Sendable, Equatable {
        /// Spool, image baseline, change journal. Local disk.
        public var stateDirectory = "/var/lib/packet-agent"
        /// Socket, env.sh, boot.json, setup logs. Local, emptied at container start.
        public var runtimeDirectory = "/run/packet-agent"
        /// `trace`, `debug`, `info`, `notice`, `warning`, `error` or `critical`.
        public var logLevel = "info"
        /// The container image's name, reported to the control plane.
        public var image = ""
        /// Users (uid) besides root and the daemon's own who may change something over the socket.
        public var allowedUsers: [Int] = []
    }

    /// Volumes.
    public struct Storage: Sendable, Equatable {
        /// Mount points where a volume is expected, whether mounted or not.
        public var volumes: [String] = []
        /// The volume that the environment points to: a name or a mount point; empty lets the agent choose.
        public var primaryVolume = ""
        /// What the site knows of mounts and the agent cannot see: each a ``StorageRule`` in text, the first that matches
        /// wins over the built-in table.
        public var rules: [String] = []
        /// The identity (`.packet/volume.json`) that the primary volume must have; empty for any.
        public var volumeID = ""
        /// MiB that the pod may write outside its volumes before it is evicted; 0 when the platform does not say.
        public var ephemeralLimitMiB = 0
        /// MiB at risk in one group from which on the agent warns; 0 for never.
        public var warnAtRiskMiB = 1024
        /// Seconds that boot waits for an expected volume.
        public var volumeWaitSeconds = 30
        /// Whether each volume gets a note of which volume it is and which pod uses it (`.packet`).
        public var lease = true
        /// Milliseconds after which a volume that does not answer is called stuck.
        public var probeTimeoutMilliseconds = 1500
    }

    /// Environment variables for the user's sessions.
    public struct Environment: Sendable, Equatable {
        /// Whether variables are set at all.
        public var enabled = true
        /// Variables of the container that are kept although they point to an ephemeral layer.
        public var keep: [String] = []
        /// `auto`, `always` or `never`: whether PYTHONPATH gets the volume's `pip-packages`.
        public var pythonPath = "auto"
        /// Whether BASH_ENV is set for every session, so that `bash -c` and scripts read the variables.
        public var bashEnvironment = false
        /// Layers (``Environment/layers``) that are left out.
        public var disabledLayers: [String] = []

        /// Every way into sessions by name, in the order in which they are put in.
        public static let layers = [
            "profile.d", "bash.bashrc", "zshenv", "fish", "environment", "sshd", "systemd", "pip.conf", "condarc",
            "python", "links",
        ]
    }

    /// The volume's set-up script.
    public struct Setup: Sendable, Equatable {
        /// Whether it is run at boot.
        public var enabled = true
        /// Its path relative to the volume.
        public var script = "setup.sh"
        /// The directory on the volume whose `*.sh` run after it, in the order of their names; empty for none.
        public var directory = "setup.d"
        /// Who runs a script: `owner` for its owner, or a user's name or number.
        public var user = "owner"
        /// Whether a script is refused when others can write a directory above it.
        public var strict = false
        /// Seconds after which they are ended; 0 for no limit.
        public var timeoutSeconds = 0
        /// MiB of output that are kept, the newest.
        public var logLimitMiB = 10
        /// Users whose script is run besides root and the owner of the volume's root.
        public var allowedOwners: [Int] = []
    }

    /// What boot waits for, and what waits for boot.
    public struct Boot: Sendable, Equatable {
        /// Seconds for the control plane's answer to the agent's hello, which may switch steps off and name the volume.
        public var controlPlaneWaitSeconds = 5
        /// Seconds that an interactive login waits until boot is over; 0 for not at all.
        public var holdLoginSeconds = 0
    }

    /// GPU sampling.
    public struct GPU: Sendable, Equatable {
        /// Whether GPUs are sampled.
        public var enabled = true
        /// NVML's name or path, as for dlopen(3).
        public var library = "libnvidia-ml.so.1"
        /// Milliseconds between samples.
        public var sampleIntervalMilliseconds = 1000
    }

    /// Metrics for Prometheus.
    public struct Metrics: Sendable, Equatable {
        /// Where `/metrics` is served, `ADDRESS:PORT`; empty for nowhere.
        public var listen = "127.0.0.1:9400"
        /// The value of the label for the host's name; empty for the host's own name.
        public var hostname = ""
        /// How the label of a GPU's UUID is spelled: dcgm-exporter's dashboards differ.
        public var uuidLabel = "UUID"
        /// How the label of the host's name is spelled; empty leaves it out.
        public var hostnameLabel = "Hostname"

        /// ``listen`` in its parts; nil for nowhere.
        public var address: (host: String, port: Int)? { Self.address(listen) }

        static func address(_ text: String) -> (host: String, port: Int)? {
            guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
                (0...65535).contains(port)
            else { return nil }
            var host = text[..<colon]
            if host.first == "[", host.last == "]" {
                host = host.dropFirst().dropLast()
            } else if host.contains(":") {
                return nil
            }
            return host.isEmpty ? nil : (String(host), port)
        }
    }

    /// Metrics sent to an OpenTelemetry receiver.
    public struct OTLP: Sendable, Equatable {
        /// Base URL of an OTLP/HTTP receiver, to which `/v1/metrics` is added; empty for none.
        public var endpoint = ""
        /// Seconds between two batches.
        public var intervalSeconds = 10
        /// File with additional request headers, `Name: value` a line; empty for none.
        public var headersFile = ""
        /// File with additional certificate authorities in PEM; empty for the system's.
        public var caFile = ""
        /// `gzip` or `none`.
        public var compression = "gzip"
    }

    /// Usage records.
    public struct Metering: Sendable, Equatable {
        /// Whether records are made.
        public var enabled = true
        /// Seconds in one interval.
        public var intervalSeconds = 60
        /// Seconds between durable marks of the open intervals: the most that a crash leaves unobserved.
        public var checkpointSeconds = 10
        /// Size limit of the spool in MiB.
        public var spoolLimitMiB = 64
    }

    /// Where the control plane is.
    public var controlPlane = ControlPlane()
    /// The agent itself.
    public var agent = Agent()
    /// Volumes.
    public var storage = Storage()
    /// Environment variables for the user's sessions.
    public var environment = Environment()
    /// The volume's set-up script.
    public var setup = Setup()
    /// What boot waits for, and what waits for boot.
    public var boot = Boot()
    /// GPU sampling.
    public var gpu = GPU()
    /// Metrics for Prometheus.
    public var metrics = Metrics()
    /// Metrics sent to an OpenTelemetry receiver.
    public var otlp = OTLP()
    /// Usage records.
    public var metering = Metering()

    /// The defaults.
    public init() {}

    /// Where the configuration is read from unless `PACKET_AGENT_CONFIG` says otherwise.
    public static let defaultPath = "/etc/packet-agent/config.toml"
}

/// The rule for the primary volume, the one that the environment points to.
public enum PrimaryVolume {
    /// Why there is or is not one.
    public enum Choice: Sendable, Equatable {
        /// The index of the chosen volume and why it was chosen.
        case chosen(index: Int, why: String)
        /// None, and why.
        case none(why: String)
    }

    /// Configured, else named by the snapshot, else the only one, else none (DESIGN, Words).
    ///
    /// - Parameter volumes: name and mount point of each volume that can be used.
    public static func choose(
        configured: String, snapshot: String?, volumes: [(name: String, mountPoint: String)]
    ) -> Choice {
        func index(of wanted: String) -> Int? {
            volumes.firstIndex { $0.mountPoint == wanted } ?? volumes.firstIndex { $0.name == wanted }
        }
        if !configured.isEmpty {
            guard let found = index(of: configured) else {
                return .none(why: "the configured primary volume \(configured) is not mounted")
            }
            return .chosen(index: found, why: "configured (storage.primary_volume)")
        }
        if let snapshot, let found = index(of: snapshot) { return .chosen(index: found, why: "named by the snapshot") }
        switch volumes.count {
        case 0: return .none(why: "no volume is mounted")
        case 1: return .chosen(index: 0, why: "the only volume")
        default:
            let names = volumes.map(\.name).joined(separator: ", ")
            return .none(why: "several volumes are mounted (\(names)); set storage.primary_volume")
        }
    }
}
