public import UsageRecord

/// The intervals that are not closed yet, as they go into a checkpoint.
///
/// After a crash they are closed at ``endMilliseconds``, so that nothing which was checkpointed is lost, and the time
/// after it is declared as a gap.
public struct OpenIntervals: Sendable, Equatable, Codable {
    /// One device's open interval or running gap. Short names, because this is written every few seconds.
    public struct Stream: Sendable, Equatable, Codable {
        /// NVML's UUID of the GPU or MIG instance.
        public var gpuUUID: String
        /// Start, CLOCK_BOOTTIME in milliseconds: the end of the device's last closed span.
        public var startMilliseconds: UInt64
        /// Why nothing is observed; nil while the device is observed.
        public var gapCause: UsageRecord.GapCause?
        /// Utilisation integrated over time in percent milliseconds; nil when never read.
        public var percentMilliseconds: UInt64?
        /// Energy so far in millijoules; nil when never read twice.
        public var energyMillijoules: UInt64?
        /// True when the energy counter went back.
        public var energyReset: Bool
        /// Memory in use integrated over time, byte milliseconds; nil when never read.
        public var memoryByteMilliseconds: UInt64?
        /// Samples so far.
        public var samples: UInt64

        enum CodingKeys: String, CodingKey {
            case gpuUUID = "u"
            case startMilliseconds = "s"
            case gapCause = "g"
            case percentMilliseconds = "p"
            case energyMillijoules = "e"
            case energyReset = "r"
            case memoryByteMilliseconds = "m"
            case samples = "n"
        }

        /// Starts an empty interval or gap.
        public init(gpuUUID: String, startMilliseconds: UInt64, gapCause: UsageRecord.GapCause? = nil) {
            self.gpuUUID = gpuUUID
            self.startMilliseconds = startMilliseconds
            self.gapCause = gapCause
            self.energyReset = false
            self.samples = 0
        }

        /// What the interval says when it is closed at `end`, one sample being due every `sampleInterval` milliseconds.
        func content(end: UInt64, sampleInterval: UInt64) -> UsageRecord.Content {
            if let gapCause { return .gap(gapCause) }
            let length = end - startMilliseconds
            return .interval(
                .init(
                    observedMilliseconds: length, busyMilliseconds: percentMilliseconds.map { min($0 / 100, length) },
                    energyMillijoules: energyMillijoules, energyReset: energyReset,
                    memoryByteMilliseconds: memoryByteMilliseconds, samples: samples,
                    expectedSamples: max(1, (length + sampleInterval / 2) / sampleInterval)))
        }
    }

    /// Whose CLOCK_BOOTTIME the times are in.
    public var bootID: String
    /// CLOCK_REALTIME minus CLOCK_BOOTTIME in milliseconds, for the label.
    public var offsetMilliseconds: Int64
    /// The last tick, CLOCK_BOOTTIME in milliseconds: how far the streams reach.
    public var endMilliseconds: UInt64
    /// Milliseconds between two samples.
    public var sampleIntervalMilliseconds: UInt64
    /// The streams.
    public var streams: [Stream]

    /// Makes a checkpoint.
    public init(
        bootID: String, offsetMilliseconds: Int64, endMilliseconds: UInt64, sampleIntervalMilliseconds: UInt64,
        streams: [Stream]
    ) {
        self.bootID = bootID
        self.offsetMilliseconds = offsetMilliseconds
        self.endMilliseconds = endMilliseconds
        self.sampleIntervalMilliseconds = sampleIntervalMilliseconds
        self.streams = streams
    }

    /// The spans that close all streams where the checkpoint ends.
    public func closed() -> [ClosedSpan] {
        streams.filter { $0.startMilliseconds < endMilliseconds }.map {
            ClosedSpan(
                gpuUUID: $0.gpuUUID, bootID: bootID, startMilliseconds: $0.startMilliseconds,
                endMilliseconds: endMilliseconds,
                endRealtimeMilliseconds: Int64(endMilliseconds) + offsetMilliseconds,
                content: $0.content(end: endMilliseconds, sampleInterval: max(1, sampleIntervalMilliseconds)))
        }
    }

    /// The same devices with everything up to the end closed, waiting for an agent to look again.
    public func waiting() -> OpenIntervals {
        var waiting = self
        waiting.streams = streams.map {
            .init(gpuUUID: $0.gpuUUID, startMilliseconds: endMilliseconds, gapCause: .agentDown)
        }
        return waiting
    }
}
