public import Effects
public import LinuxKit
import Glibc
import Synchronization

/// Samples GPUs on one thread of its own and publishes what it saw.
///
/// NVML is initialized once and kept open; where there is no library or driver, it is tried again with growing pauses.
/// Calls into the driver may block for minutes: readers of ``snapshot`` never wait for them, and see
/// ``GPUState/hung`` instead. Interval, paths and clock are injected.
public final class GPUSampler: Sendable {
    /// How to sample. The defaults are for real use.
    public struct Options: Sendable {
        /// What to load: a name that ld.so(8) searches for, or a path.
        public var libraryPath = "libnvidia-ml.so.1"
        /// Milliseconds between ticks, at least ``GPUSampler/shortestIntervalMilliseconds``.
        public var intervalMilliseconds: UInt64 = 1000
        /// After so many milliseconds in one call, NVML counts as hung.
        public var unresponsiveAfterMilliseconds: UInt64 = 10_000
        /// Milliseconds between looks at which devices there are; a stale handle causes one at once.
        public var enumerationIntervalMilliseconds: UInt64 = 30_000
        /// Milliseconds before NVML is tried again; doubles each time up to `retryLimitMilliseconds`.
        public var retryMilliseconds: UInt64 = 1000
        /// The longest pause between two tries.
        public var retryLimitMilliseconds: UInt64 = 60_000
        /// Milliseconds before a lost GPU is asked again; doubles each time, sixteenfold at most.
        public var lostRetryMilliseconds: UInt64 = 60_000
        /// Milliseconds between looks at what changes slowly: health counters, links, processes.
        public var slowIntervalMilliseconds: UInt64 = 15_000
        /// Whether the driver's events are waited for, on a thread of its own. Without it NVML is let go at once, which suits
        /// a single look.
        public var watchesEvents = true
        /// Where the driver's device files are.
        public var deviceDirectory = "/dev"
        /// Where the kernel shows processes.
        public var processDirectory = "/proc"
        /// Opens a device file for reading and writing and closes it again: 0 or the errno. Tells a device cgroup that
        /// refuses (EPERM) from a driver that fails.
        public var probeDevice: @Sendable (_ path: String) -> Int32 = { path in
            do throws(LinuxError) {
                _ = try Descriptor(opening: path, O_RDWR)
                return 0
            } catch {
                return error.code
            }
        }

        /// The event thread's longest wait, and so how long NVML takes to be let go.
        var eventWaitMilliseconds: UInt32 = 500

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

    /// Prepares a sampler; ``start()`` makes it run.
    ///
    /// - Parameter onTick: called after each tick, whether NVML answered or not, by one thread at a time and in order; and
    ///   in each interval in which NVML hangs, with the state ``GPUState/hung``. Must not block.
    /// - Throws: ``LinuxError`` when descriptors run out.
    public init(
        _ options: Options = Options(), clock: any Clock = SystemClock(),
        onTick: @escaping @Sendable (GPUSnapshot) -> Void = { _ in }
    ) throws(LinuxError) {
        var options = options
        options.intervalMilliseconds = max(options.intervalMilliseconds, Self.shortestIntervalMilliseconds)
        self.shared = try Shared(options, clock, onTick)
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
        do throws(LinuxError) {
            // Not joined: a thread stuck in the driver never ends. Dropping the value detaches it.
            _ = try DedicatedThread(name: "gpu-sampler", stackSize: Self.stackSize) {
                let loop = SamplingLoop(shared)
                loop.run()
                shared.ended.ring()
            }
        } catch {
            shared.control.withLock { $0.isStarted = false }
            throw error
        }
        // The watchdog makes no call into the driver, so nothing can keep it. Without it a hang is told to readers of
        // ``snapshot`` only.
        do { _ = try DedicatedThread(name: "gpu-watchdog", stackSize: 128 << 10) { shared.watch() } } catch {}
    }

    /// What was last seen. Never blocks on the driver. While a call has not returned for too long, the state is
    /// ``GPUState/hung`` and the reason says which call and for how long.
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
