import Effects
import GPU
import Glibc
import LinuxKit
import Metering
import Settings
import Synchronization
import UsageRecord

/// Turns GPU samples into durable usage records, on one thread that owns the spool and may wait for the disk.
final class UsageMeter: Sendable {
    /// What others may know without waiting for the disk.
    struct State: Sendable {
        /// This agent start; nil until the spool is open.
        var epoch: UsageRecord.Epoch?
        /// The start before, if the spool knew it.
        var previousEpoch: UsageRecord.Epoch?
        /// Records that wait for delivery.
        var waiting: UInt64 = 0
        /// CLOCK_BOOTTIME in nanoseconds since when records wait; nil when none waits.
        var waitingSince: UInt64?
        /// Sums over everything that was recorded for this pod.
        var totals: [String: UsageTotals] = [:]
        /// Records the control plane refused for good.
        var rejected: UInt64 = 0
        /// Records set aside because the control plane refused them alone.
        var quarantined: UInt64 = 0
        /// Closed intervals that could not be stored and became gaps.
        var lost: UInt64 = 0
        /// Bytes of the spool.
        var spoolBytes = 0
        /// Why records are not durable at the moment; nil when they are.
        var failure: String?
        /// CLOCK_BOOTTIME in nanoseconds when the thread last came round.
        var heartbeat: UInt64 = 0
    }

    private enum Message: Sendable {
        case tick(MeterTick)
        case load(Int, Int, @Sendable ([StoredRecord]?) -> Void)
        case act([DeliveryAction], @Sendable (Bool) -> Void)
        case close(@Sendable () -> Void)
    }

    private let mailbox: Mailbox<Message>
    private let published = Mutex(State())
    private let clock: any Clock
    private let lastDrift: Mutex<UInt64?> = Mutex(nil)
    private let onAppended = Mutex<(@Sendable () -> Void)?>(nil)

    init(clock: any Clock) throws(LinuxError) {
        mailbox = try Mailbox(limit: 4096)
        self.clock = clock
    }

    var state: State { published.withLock { $0 } }

    /// Called on the meter's thread after records became durable.
    func notify(_ body: @escaping @Sendable () -> Void) { onAppended.withLock { $0 = body } }

    /// Starts the thread. A spool that cannot be opened is tried again, and told in ``State/failure``.
    func start(
        directory: String, podUID: String, bootID: String, metering: AgentConfiguration.Metering, sampleInterval: Int
    )
        throws(LinuxError)
    {
        var configuration = MeterConfiguration()
        configuration.sampleIntervalMilliseconds = UInt64(sampleInterval)
        configuration.intervalMilliseconds = UInt64(metering.intervalSeconds) * 1000
        configuration.checkpointMilliseconds = UInt64(metering.checkpointSeconds) * 1000
        var limits = SpoolLimits()
        limits.totalBytes = metering.spoolLimitMiB << 20
        let (meter, spool) = (configuration, limits)
        // The thread lives as long as the process: after the last interval is closed, records are still delivered.
        _ = try DedicatedThread(name: "usage-meter") { [self] in
            var recorder: Recorder<LocalDirectory>?
            var retryAt: UInt64 = 0
            while true {
                let now = clock.boottime()
                if recorder == nil, now >= retryAt {
                    retryAt = now + 5_000_000_000
                    recorder = open(directory, podUID, bootID, meter, spool)
                }
                let messages = mailbox.take(milliseconds: 1000)
                for message in messages { handle(message, &recorder) }
                publish(recorder)
            }
        }
    }

    private func open(
        _ path: String, _ podUID: String, _ bootID: String, _ meter: MeterConfiguration, _ limits: SpoolLimits
    ) -> Recorder<LocalDirectory>? {
        do {
            let directory = try LocalDirectory(path: path)
            let recorder = try Recorder(
                directory: directory, podUID: podUID, bootID: bootID, configuration: meter, limits: limits)
            published.withLock {
                $0.epoch = recorder.epoch
                $0.failure = nil
            }
            onAppended.withLock { $0 }?()
            return recorder
        } catch {
            published.withLock { $0.failure = TerminalText.escape("usage records cannot be stored: \(error)") }
            return nil
        }
    }

    private func handle(_ message: Message, _ recorder: inout Recorder<LocalDirectory>?) {
        switch message {
        case .tick(let tick): record(recorder?.tick(tick))
        case .load(let events, let bytes, let reply):
            reply(try? recorder?.load(maximumEvents: events, maximumBytes: bytes))
        case .act(let actions, let reply):
            do {
                for action in actions {
                    switch action {
                    case .deleteThrough(let epoch, let seq): try recorder?.deleteThrough(epoch, seq)
                    case .keepRejected(let rejections): recorder?.keepRejected(rejections)
                    case .quarantine(let epoch, let seq, let reason):
                        try recorder?.quarantine(epoch, seq, reason: reason)
                    default: break
                    }
                }
                reply(recorder != nil)
            } catch {
                reply(false)
            }
        case .close(let done):
            record(recorder?.close())
            done()
        }
    }

    private func record(_ outcome: Recorder<LocalDirectory>.Outcome?) {
        guard let outcome else { return }
        published.withLock { $0.failure = outcome.failure.map { "usage records cannot be stored: \($0)" } }
        if outcome.appended > 0 { onAppended.withLock { $0 }?() }
    }

    private func publish(_ recorder: Recorder<LocalDirectory>?) {
        let now = clock.boottime()
        published.withLock { state in
            state.heartbeat = now
            guard let recorder else { return }
            state.waiting = recorder.waiting
            state.waitingSince = recorder.waiting == 0 ? nil : state.waitingSince ?? now
            state.totals = recorder.totals
            state.rejected = recorder.rejectedRecords
            state.quarantined = recorder.quarantinedRecords
            state.lost = recorder.lostSpans
            state.spoolBytes = recorder.spoolBytes
        }
    }

    // MARK: Called from other threads; none of these waits.

    /// Meters one look at the GPUs. Nothing is metered while NVML has not answered yet.
    func tick(_ snapshot: GPUSnapshot) {
        let devices = snapshot.allocatableDevices
        guard !devices.isEmpty else { return }
        let samples = Dictionary(snapshot.samples.map { ($0.uuid, $0) }) { first, _ in first }
        let readings = devices.map { device -> DeviceReading in
            guard let sample = samples[device.uuid], sample.state == .ok, snapshot.state == .ok else {
                return DeviceReading(uuid: device.uuid, state: .lost)
            }
            return DeviceReading(
                uuid: device.uuid, busyNanoseconds: sample.busy?.busyNanoseconds,
                energyMillijoules: sample.energyMillijoules, memoryUsedBytes: sample.memoryUsedBytes)
        }
        mailbox.post(
            .tick(
                MeterTick(
                    boottime: snapshot.asOf, realtimeMilliseconds: clock.realtimeMilliseconds(), suspended: suspended(),
                    devices: readings)))
    }

    /// How much further CLOCK_BOOTTIME went than CLOCK_MONOTONIC since the last call: the time in suspend.
    private func suspended() -> UInt64 {
        var (boot, monotonic) = (timespec(), timespec())
        clock_gettime(CLOCK_MONOTONIC, &monotonic)
        clock_gettime(CLOCK_BOOTTIME, &boot)
        func nanoseconds(_ time: timespec) -> UInt64 { UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec) }
        let drift = nanoseconds(boot) - min(nanoseconds(boot), nanoseconds(monotonic))
        return lastDrift.withLock { last in
            defer { last = drift }
            guard let before = last, drift > before + 1_000_000 else { return 0 }
            return drift - before
        }
    }

    func load(maximumEvents: Int, maximumBytes: Int) async -> [StoredRecord]? {
        await withCheckedContinuation { continuation in
            let isPosted = mailbox.post(.load(maximumEvents, maximumBytes) { continuation.resume(returning: $0) })
            if !isPosted { continuation.resume(returning: nil) }
        }
    }

    /// Does what an answer of the control plane allows; false when the disk refused.
    func act(_ actions: [DeliveryAction]) async -> Bool {
        await withCheckedContinuation { continuation in
            let isPosted = mailbox.post(.act(actions) { continuation.resume(returning: $0) })
            if !isPosted { continuation.resume(returning: false) }
        }
    }

    /// Closes the open intervals and makes them durable.
    func close() async {
        await withCheckedContinuation { continuation in
            if !mailbox.post(.close { continuation.resume() }) { continuation.resume() }
        }
    }
}
