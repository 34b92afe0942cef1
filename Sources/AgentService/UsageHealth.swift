import Telemetry

extension UsageMeter.State {
    /// The state as the agent's metrics have it.
    ///
    /// - Parameters:
    ///   - lastAcknowledgement: CLOCK_BOOTTIME in milliseconds; nil before the first.
    ///   - now: CLOCK_BOOTTIME in nanoseconds.
    func usage(lastAcknowledgement: UInt64?, now: UInt64) -> AgentHealth.Usage {
        var usage = AgentHealth.Usage()
        usage.spooledRecords = waiting
        usage.spoolBytes = UInt64(clamping: spoolBytes)
        usage.oldestUnacknowledgedSeconds = waitingSince.map { Double(now - min(now, $0)) / 1e9 }
        usage.lastAcknowledgementSeconds = lastAcknowledgement.map {
            Double(now / 1_000_000 - min(now / 1_000_000, $0)) / 1000
        }
        usage.rejectedRecords = rejected
        usage.quarantinedRecords = quarantined
        usage.lostIntervals = lost
        usage.isDurable = failure == nil
        return usage
    }
}
