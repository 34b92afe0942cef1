import CLinux
import ControlPlaneAPI
import FoundationEssentials
import Glibc
import Limits
import LinuxKit
import Logging
import Settings
import Storage
import Synchronization

/// Looks at the volumes on a thread of its own: when the mounts change, and once a minute. At each look it renews this
/// pod's lease and tries what programs rely on; both write to the volume, so that a child does it.
final class VolumeWatch: Sendable {
    private struct State {
        var report: [StorageReport.VolumeEntry] = []
        var mounted: [Volume] = []
        var disk: ContainerLimits.Use?
        var document = VolumesDocument(asOf: "", volumes: [])
        var isStopped = false
    }

    private let state = Mutex(State())
    private let start = UUID().uuidString.lowercased()
    private let startedAt = VolumeWatch.now()
    private let ephemeralBytes: @Sendable () -> UInt64?

    /// - Parameter ephemeralBytes: what was last found to count against the limit of ephemeral storage.
    init(ephemeralBytes: @escaping @Sendable () -> UInt64?) { self.ephemeralBytes = ephemeralBytes }

    /// What was last seen.
    var volumes: [StorageReport.VolumeEntry] { state.withLock { $0.report } }

    /// - Parameter onLook: is told the volumes after each look, on the watch's thread.
    func start(
        _ configuration: AgentConfiguration, logger: Logger,
        onLook: @escaping @Sendable ([StorageReport.VolumeEntry]) -> Void
    ) throws(LinuxError) {
        _ = try DedicatedThread(name: "volume-watch") { [self] in
            // poll(2) on mountinfo wakes at every mount and unmount (proc_pid_mountinfo(5)).
            let mountinfo: Int32 = clinux_open("/proc/self/mountinfo", O_RDONLY, 0)
            defer { if mountinfo >= 0 { close(mountinfo) } }
            while !state.withLock({ $0.isStopped }) {
                look(configuration, logger)
                onLook(volumes)
                var poll = pollfd(fd: mountinfo, events: Int16(POLLPRI), revents: 0)
                Glibc.poll(&poll, 1, Int32(VolumeLease.renewalSeconds) * 1000)
            }
        }
    }

    /// The thread ends at its next look; it is not waited for. The leases are given back, for which each volume has its
    /// deadline.
    func stop(_ configuration: AgentConfiguration) {
        let volumes = state.withLock { state in
            state.isStopped = true
            return state.mounted
        }
        guard configuration.allowedByControlPlane().storage.lease else { return }
        let disk = state.withLock { $0.disk }
        examine(volumes, configuration, disk: disk, ended: "SIGTERM")
    }

    private func look(_ configuration: AgentConfiguration, _ logger: Logger) {
        let options = PodIdentity(configuration).storageOptions(configuration)
        guard let storage = try? StorageFacts.gather(options) else { return }
        let report = StorageReport(storage).volumes
        let ready = storage.volumes.filter { $0.state == .ready && $0.mount != nil }
        state.withLock { state in
            state.report = report
            state.mounted = ready
        }
        guard !ready.isEmpty || state.withLock({ !$0.document.volumes.isEmpty }) else { return }
        guard configuration.allowedByControlPlane().storage.lease else { return }
        let disk = storage.localRootSpace
        state.withLock { $0.disk = disk }
        let results = examine(ready, configuration, disk: disk, ended: nil)
        let kills = ContainerLimits.readMemory()?.outOfMemoryKills
        var news: [String] = []
        let document = state.withLock { state in
            var entries: [VolumesDocument.Entry] = []
            for (volume, result) in zip(ready, results) {
                let place = volume.mountPoint.jsonText
                var entry =
                    state.document.volumes.first { $0.mountPoint == place }
                    ?? VolumesDocument.Entry(mountPoint: place)
                entry.examination = result
                entry.firstIdentity = entry.firstIdentity ?? result?.identity
                if entry.lastEnd == nil, let previous = result?.previous {
                    let end = ContainerEnd(previous, killsNow: kills)
                    entry.lastEnd = .init(cause: end.cause.rawValue, text: end.text)
                    news.append(end.text)
                }
                entries.append(entry)
            }
            state.document = VolumesDocument(asOf: VolumeWatch.now(), volumes: entries)
            return state.document
        }
        for text in news { logger.notice("\(text)") }
        do {
            try document.write(to: AgentPaths(configuration).volumes)
        } catch {
            logger.debug("volumes.json was not written", metadata: ["reason": "\(error)"])
        }
    }

    /// Asks each volume at the same time; nil where one gave no answer.
    @discardableResult
    private func examine(
        _ volumes: [Volume], _ configuration: AgentConfiguration, disk: ContainerLimits.Use?, ended: String?
    ) -> [VolumeExamination?] {
        let lease = lease(configuration, disk: disk, ended: ended)
        let expected = PodIdentity(configuration).expectedVolume
        let probe = StorageProbe(deadline: configuration.storage.probeTimeoutMilliseconds)
        let results = Mutex([VolumeExamination?](repeating: nil, count: volumes.count))
        Parallel.run(volumes.count, name: "examine") { index in
            guard let mount = volumes[index].mount else { return }
            let attachment = expected.flatMap { $0.mountPoint == mount.mountPoint ? $0.attachment : nil }
            guard case .answered(let found) = probe.examine(mount, lease: lease, attachment: attachment) else { return }
            results.withLock { $0[index] = found }
        }
        return results.withLock { $0 }
    }

    private func lease(_ configuration: AgentConfiguration, disk: ContainerLimits.Use?, ended: String?) -> VolumeLease {
        let memory = ContainerLimits.readMemory().map { memory in
            VolumeLease.Memory(
                outOfMemoryKills: memory.outOfMemoryKills, usedBytes: memory.used, limitBytes: memory.limit,
                largest: Processes().largest().map { .init(pid: $0.pid, command: $0.command, bytes: $0.bytes) })
        }
        let limit = UInt64(configuration.storage.ephemeralLimitMiB) << 20
        let ephemeral = ephemeralBytes().flatMap {
            limit == 0 ? nil : VolumeLease.Space(usedBytes: $0, limitBytes: limit)
        }
        return VolumeLease(
            pod: PodIdentity(configuration).leaseHolder, start: start, startedAt: startedAt,
            renewedAt: VolumeWatch.now(), ended: ended, memory: memory, ephemeral: ephemeral,
            disk: disk.map { VolumeLease.Space(usedBytes: $0.used, limitBytes: $0.limit) })
    }

    /// RFC 3339 in UTC. Not by Foundation's formatters: they would bring their calendars into the daemon's memory.
    private static func now() -> String { Timestamp(milliseconds: Int64(time(nil)) * 1000).description }
}
