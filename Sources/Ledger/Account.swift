public import UsageRecord

/// Sums over the kept records of one GPU of one pod; integers, never rounded.
///
/// A quantity that no record had is nil, because not supported is not 0.
public struct Account: Sendable, Equatable {
    /// Length of the observed intervals, in milliseconds.
    public var intervalMilliseconds: UInt64 = 0
    /// Milliseconds in them that samples vouch for.
    public var observedMilliseconds: UInt64 = 0
    /// Busy milliseconds.
    public var busyMilliseconds: UInt64?
    /// Energy in millijoules.
    public var energyMillijoules: UInt64?
    /// True when a record's energy was a lower bound.
    public var energyIsLowerBound = false
    /// Memory integrated over time in byte milliseconds. 80 GB outgrow 64 bits in 64 hours.
    public var memoryByteMilliseconds: UInt128?
    /// Declared gaps in milliseconds, by cause.
    public var gapMilliseconds: [UsageRecord.GapCause: UInt64] = [:]
    /// Kept records.
    public var records: UInt64 = 0

    /// Makes an empty account.
    public init() {}

    /// All declared gaps in milliseconds, nil when the sum exceeds ``Ledger/maximumNumber``.
    public var totalGapMilliseconds: UInt64? {
        var total: UInt64? = 0
        for value in gapMilliseconds.values { total = total.flatMap { Self.sum($0, value) } }
        return total
    }

    /// The account with a record added; nil when a sum exceeds ``Ledger/maximumNumber`` (memory: 127 bits).
    public func adding(_ record: UsageRecord) -> Account? {
        var total = self
        guard let records = Self.sum(records, 1) else { return nil }
        total.records = records
        switch record.content {
        case .gap(let cause):
            guard let gap = Self.sum(gapMilliseconds[cause] ?? 0, record.durationMilliseconds) else { return nil }
            total.gapMilliseconds[cause] = gap
        case .interval(let seen):
            guard let interval = Self.sum(intervalMilliseconds, record.durationMilliseconds),
                let observed = Self.sum(observedMilliseconds, seen.observedMilliseconds)
            else { return nil }
            total.intervalMilliseconds = interval
            total.observedMilliseconds = observed
            total.energyIsLowerBound = energyIsLowerBound || seen.energyReset
            if let busy = seen.busyMilliseconds {
                guard let sum = Self.sum(busyMilliseconds ?? 0, busy) else { return nil }
                total.busyMilliseconds = sum
            }
            if let energy = seen.energyMillijoules {
                guard let sum = Self.sum(energyMillijoules ?? 0, energy) else { return nil }
                total.energyMillijoules = sum
            }
            if let memory = seen.memoryByteMilliseconds {
                let (sum, overflow) = (memoryByteMilliseconds ?? 0).addingReportingOverflow(UInt128(memory))
                guard !overflow, sum <= UInt128(Int128.max) else { return nil }
                total.memoryByteMilliseconds = sum
            }
        }
        return total
    }

    /// Whether every number of a record fits a signed 64-bit column.
    static func isInRange(_ record: UsageRecord) -> Bool {
        var numbers = [record.seq, record.startMilliseconds, record.endMilliseconds]
        if case .interval(let seen) = record.content {
            numbers += [seen.observedMilliseconds, seen.samples, seen.expectedSamples]
            numbers += [seen.busyMilliseconds, seen.energyMillijoules, seen.memoryByteMilliseconds].compactMap(\.self)
        }
        return numbers.allSatisfy { $0 <= Ledger.maximumNumber }
    }

    private static func sum(_ left: UInt64, _ right: UInt64) -> UInt64? {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow || sum > Ledger.maximumNumber ? nil : sum
    }
}
