import Glibc
import LinuxKit

/// What the container uses of the limits that end it or its programs.
public struct ContainerLimits: Sendable, Equatable {
    /// A use and its limit.
    public struct Use: Sendable, Equatable {
        /// How much is used.
        public var used: UInt64
        /// How much may be used.
        public var limit: UInt64

        /// Makes a use.
        public init(used: UInt64, limit: UInt64) {
            self.used = used
            self.limit = limit
        }

        /// The part of the limit that is used, in percent; 100 for a limit of zero.
        public var percent: Int { limit == 0 ? 100 : Int(Double(used) / Double(limit) * 100) }
    }

    /// Memory of the control group.
    public struct Memory: Sendable, Equatable {
        /// Bytes that the kernel cannot take back: all but the page cache.
        public var used: UInt64
        /// Bytes of page cache, which the kernel drops before it kills.
        public var cache: UInt64
        /// The limit; nil when there is none.
        public var limit: UInt64?
        /// Processes that were killed for want of memory (memory.events, memory.oom_control).
        public var outOfMemoryKills: UInt64

        /// Describes memory.
        public init(used: UInt64, cache: UInt64, limit: UInt64?, outOfMemoryKills: UInt64) {
            self.used = used
            self.cache = cache
            self.limit = limit
            self.outOfMemoryKills = outOfMemoryKills
        }
    }

    /// A process that is near its limit of open files.
    public struct OpenFiles: Sendable, Equatable {
        /// The process.
        public var pid: Int32
        /// Its name (/proc/PID/comm), as written there.
        public var command: String
        /// Descriptors and the soft limit.
        public var use: Use

        /// Describes a process.
        public init(pid: Int32, command: String, use: Use) {
            self.pid = pid
            self.command = command
            self.use = use
        }
    }

    /// Memory; nil when the control group shows none.
    public var memory: Memory?
    /// Processes and threads; nil without a limit.
    public var pids: Use?
    /// Bytes in /dev/shm; nil when it is not there.
    public var sharedMemory: Use?
    /// Bytes of the file system that holds the container's layer; nil when it was not asked (``space(of:)``).
    public var disk: Use?
    /// The process that is nearest to its limit of open files; nil when none could be looked at.
    public var openFiles: OpenFiles?

    /// Nothing is known.
    public init() {}

    /// Reads local files of the kernel only.
    ///
    /// - Parameters:
    ///   - proc: where /proc is.
    ///   - cgroup: where the control groups are mounted.
    ///   - shm: the directory of POSIX shared memory (shm_overview(7)).
    public static func read(proc: String = "/proc", cgroup: String = "/sys/fs/cgroup", shm: String = "/dev/shm")
        -> ContainerLimits
    {
        let group = ControlGroup(proc: proc, root: cgroup)
        var limits = ContainerLimits()
        limits.memory = memory(group)
        limits.pids = group.pids.compactMap { directory -> Use? in
            guard let limit = ControlGroup.number(directory + "/pids.max"),
                let used = ControlGroup.number(directory + "/pids.current")
            else { return nil }
            return Use(used: used, limit: limit)
        }.max { $0.percent < $1.percent }
        limits.sharedMemory = space(of: shm)
        limits.openFiles = Processes(proc: proc).nearestToOpenFileLimit()
        return limits
    }

    /// The space of a local file system (statvfs(3)); nil when it does not tell. Never for one that may hang. What is kept
    /// for root counts as used, as it does for the kubelet.
    public static func space(of directory: String) -> Use? {
        var status = statvfs()
        guard statvfs(directory, &status) == 0, status.f_blocks > 0 else { return nil }
        let unit = UInt64(status.f_frsize)
        return Use(
            used: UInt64(status.f_blocks &- min(status.f_bavail, status.f_blocks)) &* unit,
            limit: UInt64(status.f_blocks) &* unit)
    }

    /// The memory alone, which costs less; nil when the control group shows none.
    public static func readMemory() -> Memory? { memory(ControlGroup()) }

    /// The group with the least room left; where none has a limit, the innermost.
    private static func memory(_ group: ControlGroup) -> Memory? {
        let found = group.memory.compactMap { memory(in: $0, isUnified: group.isUnified) }
        let limited = found.filter { $0.limit != nil }
        return limited.max { percent($0) < percent($1) } ?? found.first
    }

    private static func percent(_ memory: Memory) -> Int {
        memory.limit.map { Use(used: memory.used, limit: $0).percent } ?? 0
    }

    private static func memory(in directory: String, isUnified: Bool) -> Memory? {
        let current = directory + (isUnified ? "/memory.current" : "/memory.usage_in_bytes")
        guard let total = ControlGroup.number(current) else { return nil }
        let parts = ControlGroup.numbers(directory + "/memory.stat")
        func part(_ name: String) -> UInt64 { parts[isUnified ? name : "total_\(name)"] ?? 0 }
        let cache = min(total, part("active_file") &+ part("inactive_file"))
        let kills = ControlGroup.numbers(directory + (isUnified ? "/memory.events" : "/memory.oom_control"))["oom_kill"]
        return Memory(
            used: total - cache, cache: cache,
            limit: ControlGroup.number(directory + (isUnified ? "/memory.max" : "/memory.limit_in_bytes")),
            outOfMemoryKills: kills ?? 0)
    }
}
