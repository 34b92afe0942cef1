public import LinuxKit

/// `boot.json`, and `boot` of `packet-agent status --json`.
public struct BootReport: Codable, Sendable, Equatable {
    /// Where the boot is.
    public enum State: String, Codable, Sendable {
        /// For an expected volume.
        case waiting
        /// Putting back what was installed.
        case restoring
        /// Environment and setup.sh.
        case setup
        /// All went well.
        case ready
        /// Usable, but something went wrong; the steps say what.
        case degraded
        /// Nothing could be done.
        case failed

        /// Whether the boot is over.
        public var isFinal: Bool { self == .ready || self == .degraded || self == .failed }
    }

    /// One step.
    public struct Step: Codable, Sendable, Equatable {
        /// What became of a step.
        public enum State: String, Codable, Sendable {
            /// It runs.
            case running
            /// It went well.
            case done
            /// It did not.
            case failed
            /// There was nothing to do.
            case skipped
        }

        /// `control-plane`, `mounts`, `volume`, `identity`, `restore`, `environment` or `setup`.
        public var name: String
        /// What became of it.
        public var state: State
        /// When it began, ISO 8601 UTC.
        public var startedAt: String
        /// How long it took; null while it runs.
        @Nullable public var durationMilliseconds: UInt64?
        /// One sentence for people; null when there is nothing to say.
        @Nullable public var detail: String?

        enum CodingKeys: String, CodingKey {
            case name, state, detail
            case startedAt = "started_at"
            case durationMilliseconds = "duration_ms"
        }
    }

    /// `packet-agent/boot/1`.
    public var schema = "packet-agent/boot/1"
    /// Where the boot is.
    public var state: State
    /// The steps so far, in order.
    public var steps: [Step]

    /// What a person who logs in must know, in one line: the first step that failed. Nil when none did, or boot goes on.
    public var failure: String? {
        guard state == .degraded || state == .failed else { return nil }
        guard let step = steps.first(where: { $0.state == .failed }) else {
            return "Boot is \(state.rawValue). See: packet-agent status"
        }
        let more = steps.count { $0.state == .failed } - 1
        let others = more > 0 ? " (and \(more) more)" : ""
        let reason = String((step.detail ?? "no reason is known").prefix(Self.longestReason))
        return "Boot failed at \(step.name): \(reason)\(others). See: packet-agent status"
    }

    /// A line that fits a terminal, so that one failure is one line.
    private static let longestReason = 160
}
