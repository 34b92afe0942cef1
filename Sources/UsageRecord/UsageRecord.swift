/// One closed piece of evidence about one GPU: either an interval that was observed or a gap that was not.
///
/// A record's identity is (`podUID`, `epoch`, `seq`). It gets its identity and its bytes once, is made durable, and is sent
/// as those same bytes however often; the control plane counts it once. Spans are half-open, in milliseconds of
/// CLOCK_BOOTTIME of the host named by `bootID`; wall time is only a label.
public struct UsageRecord: Sendable, Equatable {
    /// 128 random bits made at agent start, as 32 lower-case hexadecimal digits.
    public typealias Epoch = String

    /// What was seen in the span.
    public enum Content: Sendable, Equatable {
        /// The GPU was observed.
        case interval(Observation)
        /// Nothing was observed. Silence is never zero, so the span is declared with its cause.
        case gap(GapCause)
    }

    /// Why nothing was observed.
    public enum GapCause: String, Sendable, Codable, CaseIterable {
        /// The agent did not run.
        case agentDown = "agent_down"
        /// The agent ran but was not scheduled for longer than 2.5 sampling intervals.
        case agentStalled = "agent_stalled"
        /// The machine was suspended (CLOCK_BOOTTIME advanced, CLOCK_MONOTONIC did not).
        case suspended
        /// NVML did not answer, or the GPU was lost.
        case nvmlError = "nvml_error"
        /// Records could not be stored.
        case diskFull = "disk_full"
        /// A stored record was damaged or permanently refused and set aside.
        case quarantined
        /// The host was restarted or exchanged: the length of the span is not known from one clock.
        case clockUnsure = "clock_unsure"
    }

    /// Sums over an observed span; a quantity the GPU does not support is nil, never 0.
    public struct Observation: Sendable, Equatable {
        /// Milliseconds credited by samples; at most the span.
        public var observedMilliseconds: UInt64
        /// Utilisation integrated over time: 50 % for 10 s is 5000.
        public var busyMilliseconds: UInt64?
        /// Energy in millijoules, a difference of the GPU's counter.
        public var energyMillijoules: UInt64?
        /// True when the energy counter went back inside the span, so that the energy is a lower bound.
        public var energyReset: Bool
        /// Memory in use integrated over time, in byte milliseconds.
        public var memoryByteMilliseconds: UInt64?
        /// Samples taken.
        public var samples: UInt64
        /// Samples that a steady sampler would have taken.
        public var expectedSamples: UInt64

        /// Makes an observation.
        public init(
            observedMilliseconds: UInt64, busyMilliseconds: UInt64? = nil, energyMillijoules: UInt64? = nil,
            energyReset: Bool = false, memoryByteMilliseconds: UInt64? = nil, samples: UInt64, expectedSamples: UInt64
        ) {
            self.observedMilliseconds = observedMilliseconds
            self.busyMilliseconds = busyMilliseconds
            self.energyMillijoules = energyMillijoules
            self.energyReset = energyReset
            self.memoryByteMilliseconds = memoryByteMilliseconds
            self.samples = samples
            self.expectedSamples = expectedSamples
        }
    }

    /// The pod, as Kubernetes names it (metadata.uid).
    public var podUID: String
    /// The agent start that made the record.
    public var epoch: Epoch
    /// 0, 1, 2, ... without holes inside an epoch, over all devices.
    public var seq: UInt64
    /// NVML's UUID of the GPU or MIG instance.
    public var gpuUUID: String
    /// `/proc/sys/kernel/random/boot_id`: whose CLOCK_BOOTTIME the span is in.
    public var bootID: String
    /// Start of the span, inclusive, CLOCK_BOOTTIME in milliseconds.
    public var startMilliseconds: UInt64
    /// End of the span, exclusive, CLOCK_BOOTTIME in milliseconds.
    public var endMilliseconds: UInt64
    /// CLOCK_REALTIME at the end of the span, milliseconds since 1970 UTC: a label.
    public var endRealtimeMilliseconds: Int64
    /// What was seen.
    public var content: Content

    /// Makes a record.
    public init(
        podUID: String, epoch: Epoch, seq: UInt64, gpuUUID: String, bootID: String, startMilliseconds: UInt64,
        endMilliseconds: UInt64, endRealtimeMilliseconds: Int64, content: Content
    ) {
        self.podUID = podUID
        self.epoch = epoch
        self.seq = seq
        self.gpuUUID = gpuUUID
        self.bootID = bootID
        self.startMilliseconds = startMilliseconds
        self.endMilliseconds = endMilliseconds
        self.endRealtimeMilliseconds = endRealtimeMilliseconds
        self.content = content
    }

    /// Length of the span in milliseconds.
    public var durationMilliseconds: UInt64 { endMilliseconds - startMilliseconds }
}

/// A record that is not well-formed; the text says which rule it breaks.
public struct RecordError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The broken rule.
    public let description: String

    /// Makes an error.
    public init(_ description: String) { self.description = description }
}
