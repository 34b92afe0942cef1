/// What the agent knows of itself beside the GPUs, for its own metrics.
public struct AgentHealth: Sendable, Equatable {
    /// Usage records on their way to the control plane.
    public struct Usage: Sendable, Equatable {
        /// Records that wait.
        public var spooledRecords: UInt64 = 0
        /// Bytes of the spool.
        public var spoolBytes: UInt64 = 0
        /// Seconds for which records have waited; nil when none waits.
        public var oldestUnacknowledgedSeconds: Double?
        /// Seconds since the last acknowledgement; nil before the first.
        public var lastAcknowledgementSeconds: Double?
        /// Records that the control plane's ledger refused since the agent started.
        public var rejectedRecords: UInt64 = 0
        /// Records set aside since the agent started, because the control plane refused them alone.
        public var quarantinedRecords: UInt64 = 0
        /// Intervals that could not be stored since the agent started and became gaps.
        public var lostIntervals: UInt64 = 0
        /// Whether records can be stored.
        public var isDurable = true

        /// Nothing recorded.
        public init() {}
    }

    /// Usage records; nil when none are made.
    public var usage: Usage?
    /// The OTLP export; nil when there is none.
    public var telemetry: TelemetryDelivery?
    /// CLOCK_BOOTTIME in nanoseconds when the agent started.
    public var startedAt: UInt64?

    /// Nothing known.
    public init() {}
}

/// How metrics get to the OTLP receiver.
public struct TelemetryDelivery: Sendable, Equatable {
    /// Batches that the receiver took.
    public var batches: UInt64 = 0
    /// Batches that were given up.
    public var droppedBatches: UInt64 = 0
    /// Data points that the receiver refused.
    public var rejectedPoints: UInt64 = 0
    /// CLOCK_BOOTTIME in milliseconds when the receiver last took a batch; nil before the first.
    public var lastSuccess: UInt64?
    /// Why the last attempt brought nothing, or what the receiver said to it; nil when all is well.
    public var lastFailure: String?
    /// Whether the receiver took the last batch.
    public var isWorking = false

    /// Nothing sent yet.
    public init() {}
}
