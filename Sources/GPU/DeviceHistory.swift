/// What is counted of one device for as long as the agent runs, through every loss and new opening of NVML.
/// Belongs to the sampling thread.
final class DeviceHistory {
    var busy = BusyIntegrator()
    var memoryBusy = BusyIntegrator()
    var energy = ResetAwareCounter()
    var energyAt: UInt64?
    var pcieTransmitted = ResetAwareCounter()
    var pcieReceived = ResetAwareCounter()
    fileprivate var lastUsed: UInt64 = 0
}

/// The histories of all devices that were ever seen, by UUID.
final class DeviceHistories {
    /// MIG instances come and go with new UUIDs.
    static let limit = 512
    private var byUUID: [String: DeviceHistory] = [:]
    private var use: UInt64 = 0

    /// The history of a device; the one that was not used for longest makes room.
    func of(_ uuid: String) -> DeviceHistory {
        use += 1
        if let known = byUUID[uuid] {
            known.lastUsed = use
            return known
        }
        if byUUID.count >= Self.limit, let oldest = byUUID.min(by: { $0.value.lastUsed < $1.value.lastUsed })?.key {
            byUUID[oldest] = nil
        }
        let fresh = DeviceHistory()
        fresh.lastUsed = use
        byUUID[uuid] = fresh
        return fresh
    }

    /// The wall clock was set, by which the driver's samples are stamped.
    func clockWasSet() {
        for history in byUUID.values {
            history.busy.clockWasSet()
            history.memoryBusy.clockWasSet()
        }
    }
}
