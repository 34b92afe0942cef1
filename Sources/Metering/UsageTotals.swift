import UsageRecord

/// Sums over all records of one GPU, kept with the spool's state: what `packet-agent usage` shows.
public struct UsageTotals: Sendable, Equatable, Codable {
    /// Records made.
    public var records: UInt64 = 0
    /// CLOCK_REALTIME of the first record's start, milliseconds since 1970 UTC: a label.
    public var sinceRealtimeMilliseconds: Int64 = 0
    /// Milliseconds that were observed.
    public var observedMilliseconds: UInt64 = 0
    /// Utilisation integrated over time; nil when no record had it.
    public var busyMilliseconds: UInt64?
    /// Energy in millijoules; nil when no record had it.
    public var energyMillijoules: UInt64?
    /// Milliseconds that were not observed, by cause.
    public var gapMilliseconds: [String: UInt64] = [:]

    /// Nothing yet.
    public init() {}

    enum CodingKeys: String, CodingKey {
        case records
        case sinceRealtimeMilliseconds = "since_realtime_ms"
        case observedMilliseconds = "observed_ms"
        case busyMilliseconds = "busy_ms"
        case energyMillijoules = "energy_mj"
        case gapMilliseconds = "gap_ms"
    }

    mutating func add(_ span: ClosedSpan) {
        let length = span.endMilliseconds - span.startMilliseconds
        if records == 0 { sinceRealtimeMilliseconds = span.endRealtimeMilliseconds - Int64(clamping: length) }
        records += 1
        switch span.content {
        case .gap(let cause): gapMilliseconds[cause.rawValue, default: 0] += length
        case .interval(let seen):
            observedMilliseconds += seen.observedMilliseconds
            if let busy = seen.busyMilliseconds { busyMilliseconds = (busyMilliseconds ?? 0) + busy }
            if let energy = seen.energyMillijoules { energyMillijoules = (energyMillijoules ?? 0) &+ energy }
        }
    }
}
