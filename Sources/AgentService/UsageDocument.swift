public import Metering

/// `usage --json`: what this agent recorded for this pod, per GPU, gaps included.
public struct UsageDocument: Codable, Sendable, Equatable {
    /// `packet-agent/usage/1`.
    public var schema = "packet-agent/usage/1"
    /// The pod's UID.
    public var podUID: String
    /// This agent start; empty while the spool cannot be opened.
    public var epoch: String
    /// Sums by GPU UUID.
    public var gpus: [String: UsageTotals]
    /// Records that wait for delivery.
    public var spooled: UInt64
    /// Records the control plane refused for good.
    public var rejected: UInt64
    /// CLOCK_REALTIME in milliseconds since 1970 UTC when this was true.
    public var asOf: Int64

    enum CodingKeys: String, CodingKey {
        case schema, epoch, gpus, spooled, rejected
        case podUID = "pod_uid"
        case asOf = "as_of"
    }
}
