import CNVML

extension NVMLSession {
    private static let wantedEvents =
        nvmlEventTypeXidCriticalError | nvmlEventMigConfigChange | nvmlEventTypeSingleBitEccError
        | nvmlEventTypeDoubleBitEccError | nvmlEventTypePowerSourceChange

    func registerEvents() {
        guard let events else { return }
        // Events arrive on the whole GPU only; MIG instances cannot be registered.
        for reader in devices where reader.device.parentUUID == nil && reader.state != .lost {
            guard !registered.contains(reader.device.uuid), let handle = reader.handle,
                let supported = try? library.supportedEvents(handle).get(),
                supported & Self.wantedEvents != 0
            else { continue }
            let failure = library.register(handle, supported & Self.wantedEvents, events)
            if failure?.code == NVML_ERROR_UNKNOWN {
                // The set is undefined after this (nvml.h): do without events.
                if let waiter, !waiter.stop(milliseconds: waiterPatience) { return }
                waiter = nil
                library.freeEventSet(events)
                self.events = nil
                return
            }
            if failure == nil { registered.insert(reader.device.uuid) }
        }
        if waiter == nil, !registered.isEmpty {
            waiter = try? EventWaiter(
                events, library.table, clock: clock, waitMilliseconds: options.eventWaitMilliseconds)
        }
    }

    /// What happened since the last time. Never waits.
    func takeEvents() -> EventWaiter.Batch? {
        guard let batch = waiter?.take(), batch.total > 0 || !batch.others.isEmpty else { return nil }
        if batch.others[nvmlEventMigConfigChange] != nil { enumerateAt = 0 }
        return batch
    }

    /// The UUID of the whole GPU that an event named.
    func uuid(_ device: UInt) -> String? {
        devices.first { UInt(bitPattern: $0.handle) == device && $0.device.parentUUID == nil }?.device.uuid
    }

    /// Puts an event into the words of a snapshot.
    func describe(_ event: EventWaiter.Batch.Event, serial: UInt64) -> GPUEvent {
        GPUEvent(
            serial: serial, uuid: uuid(event.device), xid: event.xid, boottime: event.boottime,
            gpuInstanceID: Self.id(event.gpuInstance), computeInstanceID: Self.id(event.computeInstance))
    }
}
