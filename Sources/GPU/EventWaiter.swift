import CNVML
import Effects
import LinuxKit
import Synchronization

/// The thread that waits for the driver's events, and does nothing else. One for each opening of NVML.
///
/// NVML may be called from several threads (nvml.h). The wait is bounded, so that letting NVML go takes no longer than
/// that; an event set is freed, and NVML shut down, only after the thread has ended.
final class EventWaiter: Sendable {
    /// What happened since the last time it was asked.
    struct Batch: Sendable {
        /// One event.
        struct Event: Sendable {
            /// NVML's handle of the whole GPU, as a number.
            let device: UInt
            let xid: UInt64
            let boottime: UInt64
            let gpuInstance: UInt32
            let computeInstance: UInt32
        }
        struct Key: Hashable, Sendable {
            let device: UInt
            let xid: UInt64
        }

        /// The newest XIDs, oldest first, at most ``GPUSampler/eventLimit``.
        var newest: [Event] = []
        /// All XIDs, those that did not fit into `newest` included.
        var xids: [Key: (count: UInt64, last: UInt64)] = [:]
        var total: UInt64 = 0
        /// Other events by their type's bit.
        var others: [UInt64: UInt64] = [:]
    }

    /// After an error the wait would return at once, again and again.
    static let backoffMilliseconds = 1000
    /// XIDs are small numbers; a driver that invents thousands must not fill memory.
    static let keyLimit = 1024

    private let pending = Mutex(Batch())
    private let isStopping = Mutex(false)
    private let stopBell: Doorbell
    private let ended: Doorbell
    private let clock: any Clock
    private let waitMilliseconds: UInt32
    private let wait: nvmlEventSetWait_v2_fn?
    private let waitV1: nvmlEventSetWait_fn?
    // unsafe: only handed to NVML, by this thread; the session frees it after the thread has ended.
    nonisolated(unsafe) private let set: nvmlEventSet_t

    /// Starts the thread.
    init(
        _ set: nvmlEventSet_t, _ table: NVMLFunctions, clock: any Clock, waitMilliseconds: UInt32
    ) throws(LinuxError) {
        self.waitMilliseconds = waitMilliseconds
        self.set = set
        self.clock = clock
        wait = table.eventWaitV2
        waitV1 = table.eventWait
        stopBell = try Doorbell()
        ended = try Doorbell()
        _ = try DedicatedThread(name: "gpu-events", stackSize: 128 << 10) { [self] in
            run()
            ended.ring()
        }
    }

    /// What happened since the last call. Never waits for the driver.
    func take() -> Batch {
        pending.withLock { batch in
            guard batch.total > 0 || !batch.others.isEmpty else { return Batch() }
            defer { batch = Batch() }
            return batch
        }
    }

    /// Ends the thread; false when the driver keeps it.
    func stop(milliseconds: Int) -> Bool {
        isStopping.withLock { $0 = true }
        stopBell.ring()
        return ended.wait(milliseconds: milliseconds, answer: false)
    }

    private func run() {
        while !isStopping.withLock({ $0 }) {
            var event = nvmlEventData_t()
            event.gpuInstanceId = NVML_VALUE_NOT_AVAILABLE_UINT
            event.computeInstanceId = NVML_VALUE_NOT_AVAILABLE_UINT
            var code = wait?(set, &event, waitMilliseconds) ?? NVML_ERROR_FUNCTION_NOT_FOUND
            if code == NVML_ERROR_FUNCTION_NOT_FOUND {
                code = waitV1?(set, &event, waitMilliseconds) ?? NVML_ERROR_FUNCTION_NOT_FOUND
            }
            switch code {
            case NVML_SUCCESS: note(event)
            case NVML_ERROR_TIMEOUT: break
            default: _ = stopBell.wait(milliseconds: Self.backoffMilliseconds, answer: false)
            }
        }
    }

    private func note(_ event: nvmlEventData_t) {
        let now = clock.boottime()
        let device = UInt(bitPattern: event.device)
        pending.withLock { batch in
            guard event.eventType == nvmlEventTypeXidCriticalError else {
                batch.others[event.eventType, default: 0] += 1
                return
            }
            batch.total += 1
            let key = Batch.Key(device: device, xid: event.eventData)
            if batch.xids[key] != nil || batch.xids.count < Self.keyLimit {
                batch.xids[key] = ((batch.xids[key]?.count ?? 0) + 1, now)
            }
            if batch.newest.count == GPUSampler.eventLimit { batch.newest.removeFirst() }
            batch.newest.append(
                Batch.Event(
                    device: device, xid: event.eventData, boottime: now, gpuInstance: event.gpuInstanceId,
                    computeInstance: event.computeInstanceId))
        }
    }
}
