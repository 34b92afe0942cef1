/// What a pod would lose if it terminated now: the totals of `packet-agent at-risk --json`.
public struct AtRiskSummary: Sendable, Equatable, Codable {
    /// Bytes allocated.
    public var totalBytes: UInt64
    /// Files.
    public var totalFiles: UInt64
    /// Whether the whole writable layer was looked at.
    public var complete: Bool
    /// When it was looked at.
    public var asOf: Timestamp

    /// Makes a summary.
    public init(totalBytes: UInt64, totalFiles: UInt64, complete: Bool, asOf: Timestamp) {
        self.totalBytes = totalBytes
        self.totalFiles = totalFiles
        self.complete = complete
        self.asOf = asOf
    }

    enum CodingKeys: String, CodingKey {
        case complete
        case totalBytes = "total_bytes"
        case totalFiles = "total_files"
        case asOf = "as_of"
    }
}

/// A warning of the agent: raised once per cause, and kept while it holds.
public struct PodWarning: Sendable, Equatable, Codable {
    /// What it is about; stays the same while it holds.
    public var cause: String
    /// One sentence.
    public var text: String
    /// When it was raised.
    public var since: Timestamp

    /// Makes a warning.
    public init(cause: String, text: String, since: Timestamp) {
        self.cause = cause
        self.text = text
        self.since = since
    }
}

/// `PUT /v1/pods/{pod}/report`: the latest findings of the agent. Each replaces the one before.
public struct PodReport: Sendable, Equatable, Codable {
    /// What would be lost; absent when the agent cannot tell.
    public var atRisk: AtRiskSummary?
    /// `packet-agent doctor --json`.
    public var doctor: JSONValue?
    /// The boot section of `packet-agent status --json`.
    public var boot: JSONValue?

    /// The warnings that hold now; absent from agents that keep none.
    public var warnings: [PodWarning]?

    /// Makes a report.
    public init(
        atRisk: AtRiskSummary? = nil, doctor: JSONValue? = nil, boot: JSONValue? = nil, warnings: [PodWarning]? = nil
    ) {
        self.atRisk = atRisk
        self.doctor = doctor
        self.boot = boot
        self.warnings = warnings
    }

    enum CodingKeys: String, CodingKey {
        case doctor, boot, warnings
        case atRisk = "at_risk"
    }
}
