import CLinux
import Glibc
import LinuxKit
import Settings
import Storage
import Synchronization

/// Looks at the volumes on a thread of its own: when the mounts change, and once a minute.
final class VolumeWatch: Sendable {
    private static let secondsBetweenLooks: Int32 = 60

    private let volumes = Mutex<[StorageReport.VolumeEntry]>([])
    private let isStopped = Mutex(false)

    /// What was last seen.
    var state: [StorageReport.VolumeEntry] { volumes.withLock { $0 } }

    func start(_ configuration: AgentConfiguration) throws(LinuxError) {
        _ = try DedicatedThread(name: "volume-watch") { [self] in
            // poll(2) on mountinfo wakes at every mount and unmount (proc_pid_mountinfo(5)).
            let mountinfo: Int32 = clinux_open("/proc/self/mountinfo", O_RDONLY, 0)
            defer { if mountinfo >= 0 { close(mountinfo) } }
            while !isStopped.withLock({ $0 }) {
                let options = PodIdentity(configuration).storageOptions(configuration)
                if let report = try? StorageReport.gather(options: options) {
                    volumes.withLock { $0 = report.volumes }
                }
                var poll = pollfd(fd: mountinfo, events: Int16(POLLPRI), revents: 0)
                Glibc.poll(&poll, 1, Self.secondsBetweenLooks * 1000)
            }
        }
    }

    /// The thread ends at its next look; it is not waited for.
    func stop() { isStopped.withLock { $0 = true } }
}
