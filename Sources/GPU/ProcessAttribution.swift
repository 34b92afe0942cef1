import Glibc
import LinuxKit

/// Tells whether a pid that the driver named is a process of this container.
///
/// Drivers may name processes by the host's pid, which is somebody else here (nvidia-docker issue 1483). So a number counts
/// only when /proc shows that very process with an NVIDIA device file open. Where that cannot be seen, nothing is guessed.
enum ProcessAttribution {
    /// Descriptors that are looked at; a CUDA process opens its device files first.
    static let descriptorLimit = 4096

    /// The process's name (comm), escaped; nil unless it is one of this container that uses a GPU.
    static func name(_ pid: UInt32, in directory: String) -> String? {
        let base = directory + "/" + String(pid)
        guard usesGPU(base + "/fd"), let bytes = try? LocalFile.read(base + "/comm") else { return nil }
        return TerminalText.escape(bytes: bytes.prefix { $0 != 0x0A })
    }

    private static func usesGPU(_ path: String) -> Bool {
        guard let directory = opendir(path) else { return false }
        defer { closedir(directory) }
        let prefix = "/dev/nvidia"
        var target = [CChar](repeating: 0, count: 64)
        for _ in 0..<descriptorLimit {
            guard let entry = readdir(directory) else { return false }
            let length = withUnsafePointer(to: &entry.pointee.d_name) { name in
                // unsafe: d_name is 256 bytes that end with a zero (readdir(3)).
                name.withMemoryRebound(to: CChar.self, capacity: 256) {
                    readlinkat(dirfd(directory), $0, &target, target.count)
                }
            }
            if length >= prefix.utf8.count, zip(target, prefix.utf8).allSatisfy({ UInt8(bitPattern: $0) == $1 }) {
                return true
            }
        }
        return false
    }
}
