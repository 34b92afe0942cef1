public import Effects
public import LinuxKit
import Synchronization

/// Samples GPUs on one thread of its own and publishes what it saw.
///
/// NVML is initialized once and kept open; where there is no library or driver, it is tried again with growing pauses.
/// Calls into the driver may block for minutes: readers of ``snapshot`` never wait for them, and see
/// ``GPUState/unresponsive`` instead. Interval, paths and clock are injected.
public final class GPUSampler: Sendable {
    /// How to sample. The defaults are for real use.
    public struct Options: Sendable {
        /// What to load: a name that ld.so(8) searches for, or a path.
        public var libraryPath = "libnvidia-ml.so.1"
        /// Milliseconds between ticks, at least ``GPUSampler/shortestIntervalMilliseconds``.
        public var intervalMilliseconds: UInt64 = 1000
        /// After so many milliseconds in one call, NVML counts as unresponsive.
        public var unresponsiveAfterMilliseconds: UInt64 = 10_000
        /// Milliseconds between looks at which devices there are; a stale handle causes one at once.
        public var enumerationIntervalMilliseconds: UInt64 = 30_000
        /// Milliseconds before NVML is tried again; doubles each time up to `retryLimitMilliseconds`.
        public var retryMilliseconds: UInt64 = 1000
        /// The longest pause between two tries.
        public var retryLimitMilliseconds: UInt64 = 60_000
        /// Milliseconds before a lost GPU is asked again; doubles each time, sixteenfold at most.
        public var lostRetryMilliseconds: UInt64 = 60_000
        /// Where the driver's device files are.
        public var deviceDirectory = "/dev"

        /// The defaults.
        public init() {}
    }

    /// NVML's own values change six times a second at most.
    public static let shortestIntervalMilliseconds: UInt64 = 250
    /// How many events a snapshot carries.
    public static let eventLimit = 64
    /// The sampling thread's stack, in bytes.
    static let stackSize = 256 << 10

    private let shared: Shared
    private let onTick: @Sendable (GPUSnapshot) -> Void

    /// Prepares a sampler; ``start()`` makes it run.
    ///
    /// - Parameter onTick: called on the sampling thread after each tick, whether NVML answered or not. Must not block.
    /// - Throws: ``LinuxError`` when descriptors run out.
    public init(
        _ options: Options = Options(), clock: any Clock = SystemClock(),
        onTick: @escaping @Sendable (GPUSnapshot) -> Void = { _ in }
    ) throws(LinuxError) {
        var options = options
        options.intervalMilliseconds = max(options.intervalMilliseconds, Self.shortestIntervalMilliseconds)
        self.shared = try Shared(options, clock)
        self.onTick = onTick
    }

    deinit {
        // The thread holds what it needs itself and ends after the call it is in.
        shared.command(.stop)
    }

    /// Starts the sampling thread; does nothing when it was started before.
    ///
    /// - Throws: ``LinuxError`` `EAGAIN` when the pids limit is reached.
    public func start() throws(LinuxError) {
        let first = shared.control.withLock { control in
            defer { control.isStarted = true }
            return !control.isStarted
        }
        guard first else { return }
        let shared = shared
        let onTick = onTick
        do throws(LinuxError) {
            // Not joined: a thread stuck in the driver never ends. Dropping the value detaches it.
            _ = try DedicatedThread(name: "gpu-sampler", stackSize: Self.stackSize) {
                let loop = SamplingLoop(shared, onTick)
                loop.run()
                shared.ended.ring()
            }
        } catch {
            shared.control.withLock { $0.isStarted = false }
            throw error
        }
    }

    /// What was last seen. Never blocks on the driver. While a call has not returned for too long, the state is
    /// ``GPUState/unresponsive`` and the reason says which call and for how long.
    public var snapshot: GPUSnapshot { shared.snapshot }

    /// Lets NVML go, so that a GPU can be reset or repartitioned; an open client would prevent it.
    public func release() { shared.command(.release) }

    /// Takes NVML up again after ``release()``.
    public func resume() { shared.command(.resume) }

    /// Asks the thread to let NVML go and end.
    ///
    /// - Parameter milliseconds: how long to wait for that at most.
    /// - Returns: false when the driver keeps the thread; the process can then only leave by `_exit`.
    public func stop(milliseconds: Int) -> Bool {
        shared.command(.stop)
        guard shared.control.withLock({ $0.isStarted }) else { return true }
        return shared.ended.wait(milliseconds: milliseconds, answer: false)
    }
}

/// What the sampling thread and everybody else share.
final class Shared: Sendable {
    enum Command { case stop, release, resume }

    struct Control {
        var isStarted = false
        var isStopping = false
        var isReleased = false
    }

    let options: GPUSampler.Options
    let clock: any Clock
    let control = Mutex(Control())
    let inFlight = CallInFlight()
    let wake: Doorbell
    let ended: Doorbell
    private let published: Mutex<GPUSnapshot>

    init(_ options: GPUSampler.Options, _ clock: any Clock) throws(LinuxError) {
        self.options = options
        self.clock = clock
        self.wake = try Doorbell()
        self.ended = try Doorbell()
        self.published = Mutex(
            GPUSnapshot(state: .starting, reason: "the first look is still to come", asOf: clock.boottime()))
    }

    func command(_ command: Command) {
        control.withLock {
            switch command {
            case .stop: $0.isStopping = true
            case .release: $0.isReleased = true
            case .resume: $0.isReleased = false
            }
        }
        wake.ring()
    }

    func publish(_ snapshot: GPUSnapshot) { published.withLock { $0 = snapshot } }

    var snapshot: GPUSnapshot {
        var snapshot = published.withLock { $0 }
        let now = clock.boottime()
        if let call = inFlight.current, now > call.since {
            let milliseconds = (now - call.since) / 1_000_000
            if milliseconds >= options.unresponsiveAfterMilliseconds {
                snapshot.state = .unresponsive
                snapshot.reason =
                    "the driver has not answered (\(call.function)) for \(milliseconds / 1000) s; the node needs a look"
            }
        }
        return snapshot
    }
}
