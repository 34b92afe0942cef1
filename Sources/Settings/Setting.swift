/// One key of the configuration file: its name, meaning, limits, and where its value lives.
public struct Setting: Sendable {
    /// A value as TOML or a variable gives it.
    public enum Value: Sendable, Equatable {
        /// A string.
        case string(String)
        /// An integer.
        case integer(Int)
        /// A boolean.
        case boolean(Bool)
        /// A list of strings.
        case strings([String])
        /// A list of integers.
        case integers([Int])
    }

    /// The table, for example `gpu`.
    public let section: String
    /// The key, for example `sample_interval_ms`.
    public let name: String
    /// One sentence: what it does, with unit.
    public let summary: String
    let get: @Sendable (AgentConfiguration) -> Value
    let set: @Sendable (inout AgentConfiguration, Value) throws(Refusal) -> Void
    let parse: @Sendable (String) throws(Refusal) -> Value

    /// Why a value is refused; the text continues "the value ...".
    struct Refusal: Error {
        let reason: String
    }

    /// `section.name`.
    public var path: String { "\(section).\(name)" }
    /// The variable that overrides the key.
    public var variable: String { "PACKET_AGENT_" + "\(section)_\(name)".uppercased() }

    /// The value in a configuration.
    public func value(in configuration: AgentConfiguration) -> Value { get(configuration) }

    /// Every key, in the order of the documentation.
    public static let all: [Setting] = [
        .string(
            "control_plane", "url", \.controlPlane.url, "Base URL of the control plane; empty for none.", check: url),
        .string("control_plane", "pod_uid", \.controlPlane.podUID, "The pod's UID (metadata.uid)."),
        .string(
            "control_plane", "token_file", \.controlPlane.tokenFile, "File with the pod's bearer token, mode 0600.",
            check: absolute),
        .string(
            "control_plane", "ca_file", \.controlPlane.caFile, "File with additional certificate authorities (PEM)."),
        .string(
            "agent", "state_directory", \.agent.stateDirectory, "Spool, image baseline, change journal.",
            check: absolute),
        .string(
            "agent", "runtime_directory", \.agent.runtimeDirectory, "Socket, env.sh, boot.json, setup logs.",
            check: absolute),
        .string(
            "agent", "log_level", \.agent.logLevel, "Least severity that is logged.",
            check: oneOf(
                "trace", "debug", "info", "notice", "warning", "error", "critical")),
        .string("agent", "image", \.agent.image, "The container image's name, as reported."),
        .integers(
            "agent", "allowed_users", \.agent.allowedUsers,
            "Users (uid) besides root who may change something over the socket, such as 'gpu release'."),
        .strings("storage", "volumes", \.storage.volumes, "Mount points where a volume is expected.", check: absolute),
        .string(
            "storage", "primary_volume", \.storage.primaryVolume,
            "Name or mount point of the volume that the environment points to."),
        .strings(
            "storage", "rules", \.storage.rules,
            "What the site knows of mounts, each \"MOUNTPOINT TYPES LIFETIME REASON\"; they win over what the agent sees.",
            check: storageRule),
        .string(
            "storage", "volume_id", \.storage.volumeID,
            "Identity (.packet/volume.json) that the primary volume must have; empty for any."),
        .integer(
            "storage", "ephemeral_limit_mib", \.storage.ephemeralLimitMiB, 0...1_073_741_824,
            "MiB that the pod may write outside its volumes before it is evicted; 0 when not known."),
        .integer(
            "storage", "warn_at_risk_mib", \.storage.warnAtRiskMiB, 0...1_073_741_824,
            "MiB at risk in one group from which on the agent warns; 0 for never."),
        .integer(
            "storage", "volume_wait_s", \.storage.volumeWaitSeconds, 0...3600,
            "Seconds that boot waits for an expected volume."),
        .boolean(
            "storage", "lease", \.storage.lease,
            "Note on each volume which volume it is and which pod uses it (.packet)."),
        .integer(
            "storage", "probe_timeout_ms", \.storage.probeTimeoutMilliseconds, 100...30_000,
            "Milliseconds after which a silent volume is stuck."),
        .boolean("environment", "enabled", \.environment.enabled, "Set environment variables for sessions."),
        .strings("environment", "keep", \.environment.keep, "Variables of the container that are never replaced."),
        .string(
            "environment", "pythonpath", \.environment.pythonPath, "When PYTHONPATH gets the volume's pip-packages.",
            check: oneOf("auto", "always", "never")),
        .boolean(
            "environment", "bash_env", \.environment.bashEnvironment,
            "Set BASH_ENV for every session, so that bash commands and scripts read the variables."),
        .strings(
            "environment", "disabled_layers", \.environment.disabledLayers,
            "Ways into sessions that are left out: \(AgentConfiguration.Environment.layers.joined(separator: ", ")).",
            check: oneOf(AgentConfiguration.Environment.layers)),
        .boolean("setup", "enabled", \.setup.enabled, "Run the volume's set-up script at boot."),
        .string("setup", "script", \.setup.script, "The script's path relative to the volume.", check: relative),
        .string(
            "setup", "directory", \.setup.directory,
            "Directory on the volume whose *.sh run after the script, in the order of their names; empty for none.",
            check: relativeOrEmpty),
        .string(
            "setup", "user", \.setup.user,
            "Who runs a script: owner for the user who owns it, or a user's name or number, such as root."),
        .boolean(
            "setup", "strict", \.setup.strict,
            "Refuse a script when others can write a directory above it, instead of warning."),
        .integer(
            "setup", "timeout_s", \.setup.timeoutSeconds, 0...604_800,
            "Seconds after which the scripts are ended; 0 for no limit."),
        .integer(
            "setup", "log_limit_mib", \.setup.logLimitMiB, 1...1024,
            "MiB of the scripts' output that are kept, the newest."),
        .integers(
            "setup", "allowed_owners", \.setup.allowedOwners,
            "Users (uid) whose script is run besides root and the volume's owner."),
        .integer(
            "boot", "control_plane_wait_s", \.boot.controlPlaneWaitSeconds, 0...60,
            "Seconds that boot waits for the control plane, which may switch steps off and name the volume."),
        .integer(
            "boot", "hold_login_s", \.boot.holdLoginSeconds, 0...3600,
            "Seconds that an interactive login waits until boot is over; 0 for not at all."),
        .boolean("gpu", "enabled", \.gpu.enabled, "Sample GPUs through NVML."),
        .string("gpu", "library", \.gpu.library, "NVML's name or path, as for dlopen(3)."),
        .integer(
            "gpu", "sample_interval_ms", \.gpu.sampleIntervalMilliseconds, 250...60_000, "Milliseconds between samples."
        ),
        .string(
            "metrics", "listen", \.metrics.listen, "ADDRESS:PORT for Prometheus' /metrics; empty for none.",
            check: address),
        .string(
            "metrics", "hostname", \.metrics.hostname,
            "The host's name as a label; empty for this host's own."),
        .string(
            "metrics", "uuid_label", \.metrics.uuidLabel, "Spelling of the label for a GPU's UUID.",
            check: oneOf("UUID", "uuid")),
        .string(
            "metrics", "hostname_label", \.metrics.hostnameLabel,
            "Spelling of the label for the host's name; empty leaves it out.", check: oneOf("Hostname", "hostname", "")),
        .string(
            "otlp", "endpoint", \.otlp.endpoint,
            "Base URL of an OTLP/HTTP receiver, to which /v1/metrics is added; empty for none.", check: url),
        .integer("otlp", "interval_s", \.otlp.intervalSeconds, 1...3600, "Seconds between two batches."),
        .string(
            "otlp", "headers_file", \.otlp.headersFile,
            "File with request headers, \"Name: value\" a line, mode 0600; empty for none.", check: absoluteOrEmpty),
        .string(
            "otlp", "ca_file", \.otlp.caFile, "File with additional certificate authorities (PEM) for the receiver."),
        .string(
            "otlp", "compression", \.otlp.compression, "Compression of the batches.", check: oneOf("gzip", "none")),
        .boolean("metering", "enabled", \.metering.enabled, "Make usage records."),
        .integer("metering", "interval_s", \.metering.intervalSeconds, 1...3600, "Seconds in one interval."),
        .integer(
            "metering", "checkpoint_s", \.metering.checkpointSeconds, 1...300,
            "Seconds between durable marks of open intervals."),
        .integer("metering", "spool_limit_mib", \.metering.spoolLimitMiB, 1...4096, "Size limit of the spool in MiB."),
    ]

    private typealias Path<T> = WritableKeyPath<AgentConfiguration, T> & Sendable
    private typealias Check = @Sendable (String) throws(Refusal) -> Void

    private static func string(
        _ section: String, _ name: String, _ path: any Path<String>, _ summary: String, check: Check? = nil
    ) -> Setting {
        Setting(
            section: section, name: name, summary: summary, get: { .string($0[keyPath: path]) },
            set: { (configuration, value) throws(Refusal) in
                guard case .string(let text) = value else { throw Refusal(reason: "must be a string") }
                try check?(text)
                configuration[keyPath: path] = text
            }, parse: { .string($0) })
    }

    private static func integer(
        _ section: String, _ name: String, _ path: any Path<Int>, _ range: ClosedRange<Int>, _ summary: String
    ) -> Setting {
        Setting(
            section: section, name: name, summary: "\(summary) \(range.lowerBound) to \(range.upperBound).",
            get: { .integer($0[keyPath: path]) },
            set: { (configuration, value) throws(Refusal) in
                guard case .integer(let number) = value else { throw Refusal(reason: "must be an integer") }
                guard range.contains(number) else {
                    throw Refusal(reason: "must be from \(range.lowerBound) to \(range.upperBound)")
                }
                configuration[keyPath: path] = number
            },
            parse: { (text) throws(Refusal) in
                guard let number = Int(text) else { throw Refusal(reason: "must be an integer") }
                return .integer(number)
            })
    }

    private static func boolean(_ section: String, _ name: String, _ path: any Path<Bool>, _ summary: String) -> Setting
    {
        Setting(
            section: section, name: name, summary: summary, get: { .boolean($0[keyPath: path]) },
            set: { (configuration, value) throws(Refusal) in
                guard case .boolean(let flag) = value else { throw Refusal(reason: "must be true or false") }
                configuration[keyPath: path] = flag
            },
            parse: { (text) throws(Refusal) in
                guard let flag = ["true": true, "1": true, "false": false, "0": false][text.lowercased()] else {
                    throw Refusal(reason: "must be true or false")
                }
                return .boolean(flag)
            })
    }

    private static func strings(
        _ section: String, _ name: String, _ path: any Path<[String]>, _ summary: String, check: Check? = nil
    ) -> Setting {
        Setting(
            section: section, name: name, summary: summary, get: { .strings($0[keyPath: path]) },
            set: { (configuration, value) throws(Refusal) in
                guard case .strings(let list) = value else { throw Refusal(reason: "must be a list of strings") }
                for text in list { try check?(text) }
                configuration[keyPath: path] = list
            }, parse: { .strings($0.split(separator: ",").map(String.init)) })
    }

    private static func integers(_ section: String, _ name: String, _ path: any Path<[Int]>, _ summary: String)
        -> Setting
    {
        Setting(
            section: section, name: name, summary: summary, get: { .integers($0[keyPath: path]) },
            set: { (configuration, value) throws(Refusal) in
                if case .strings(let list) = value, list.isEmpty {
                    configuration[keyPath: path] = []
                    return
                }
                guard case .integers(let list) = value else { throw Refusal(reason: "must be a list of integers") }
                configuration[keyPath: path] = list
            },
            parse: { (text) throws(Refusal) in
                let numbers = text.split(separator: ",").map { Int($0) }
                guard !numbers.contains(nil) else { throw Refusal(reason: "must be integers separated by commas") }
                return .integers(numbers.compactMap { $0 })
            })
    }

    private static func absolute(_ text: String) throws(Refusal) {
        guard text.hasPrefix("/") else { throw Refusal(reason: "must be an absolute path") }
    }

    private static func storageRule(_ text: String) throws(Refusal) {
        do { _ = try StorageRule(text) } catch { throw Refusal(reason: error.reason) }
    }

    private static func relative(_ text: String) throws(Refusal) {
        guard !text.isEmpty, !text.hasPrefix("/"), !text.split(separator: "/").contains("..") else {
            throw Refusal(reason: "must be a relative path without \"..\"")
        }
    }

    private static func absoluteOrEmpty(_ text: String) throws(Refusal) {
        if !text.isEmpty { try absolute(text) }
    }

    private static func relativeOrEmpty(_ text: String) throws(Refusal) {
        if !text.isEmpty { try relative(text) }
    }

    private static func url(_ text: String) throws(Refusal) {
        guard !text.isEmpty else { return }
        do throws(WebAddress.Refusal) { _ = try WebAddress(text) } catch { throw Refusal(reason: error.reason) }
    }

    private static func address(_ text: String) throws(Refusal) {
        guard text.isEmpty || AgentConfiguration.Metrics.address(text) != nil else {
            throw Refusal(reason: "must be ADDRESS:PORT, such as 127.0.0.1:9400 or [::1]:9400")
        }
    }

    private static func oneOf(_ words: String...) -> Check { oneOf(words) }

    private static func oneOf(_ words: [String]) -> Check {
        { (text) throws(Refusal) in
            guard words.contains(text) else { throw Refusal(reason: "must be one of \(words.joined(separator: ", "))") }
        }
    }
}
