import Glibc
import LinuxKit

/// Tells whether a pid that the driver named is a process of this container.
///
/// Drivers may name processes by the host's pid, which is somebody else here (nvidia-docker issue 1483). So a number counts
/// only when /proc shows that very process with an NVIDIA device file open. Where that cannot be seen, nothing is guessed.
///
/// Looking at a descriptor takes the kernel microseconds and a process may have thousands, so a look has a budget, and the next
/// one goes on where it ended; where a device file was found, it is looked for first. procfs lists descriptors in ascending order.
struct ProcessAttribution {
    /// Descriptors that the first look may cost for each process, and every later one for all of a list together.
    static let firstBudget = 4096
    static let budget = 96
    /// A process's least share of it.
    static let leastShare = 8

    /// How the paths of NVIDIA's device files begin.
    let devicePrefix: String
    /// The descriptor to begin with, by pid.
    private var next: [UInt32: Int32] = [:]
    private var share = Self.firstBudget

    init(devicePrefix: String = "/dev/nvidia") { self.devicePrefix = devicePrefix }

    /// Begins a look at so many processes.
    mutating func begin(isFirst: Bool, count: Int) {
        share = isFirst ? Self.firstBudget : max(Self.leastShare, Self.budget / max(count, 1))
    }

    /// Forgets all processes but these.
    mutating func end(_ pids: Set<UInt32>) { next = next.filter { pids.contains($0.key) } }

    /// The process's name (comm), escaped; nil unless it is known to be one of this container that uses a GPU.
    mutating func name(_ pid: UInt32, in directory: String) -> String? {
        let base = directory + "/" + String(pid)
        guard usesGPU(pid, base + "/fd"), let bytes = try? LocalFile.read(base + "/comm") else { return nil }
        return TerminalText.escape(bytes: bytes.prefix { $0 != 0x0A })
    }

    private mutating func usesGPU(_ pid: UInt32, _ path: String) -> Bool {
        guard let directory = opendir(path) else { return false }
        defer { closedir(directory) }
        let first = next[pid] ?? 0
        var left = share
        // Longer than any prefix; what follows does not matter.
        var target = [CChar](repeating: 0, count: 128)
        let prefix = devicePrefix.utf8.count
        while let entry = readdir(directory) {
            let (number, length) = withUnsafePointer(to: &entry.pointee.d_name) { name in
                // unsafe: d_name is 256 bytes that end with a zero (readdir(3)).
                name.withMemoryRebound(to: CChar.self, capacity: 256) { name -> (Int32, Int) in
                    let number = atoi(name)
                    guard name[0] != 0x2E, number >= first else { return (-1, 0) }
                    return (number, readlinkat(dirfd(directory), name, &target, target.count))
                }
            }
            guard number >= 0 else { continue }
            left -= 1
            if length >= prefix, strncmp(target, devicePrefix, prefix) == 0 {
                next[pid] = number
                return true
            }
            if left == 0 {
                next[pid] = number + 1
                return false
            }
        }
        // All were looked at: the next look begins anew.
        next[pid] = nil
        return false
    }
}
