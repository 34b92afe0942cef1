import CLinux
import Glibc
import LinuxKit

/// Opens what lies on a volume without ever leaving it: no symbolic link, no magic link, no `..`, no other mount.
struct VolumeOpening {
    /// Who walks the path.
    enum Way: String, Codable {
        /// openat2(2), and where that is refused the same by hand.
        case kernel
        /// By hand.
        case walk
    }

    /// The volume's root.
    let root: Int32
    /// The owner of the volume's root, whose rights are used where root's are not enough.
    let owner: UInt32
    var way = Way.kernel

    /// Why something on the volume is not opened.
    enum Refusal: Error {
        /// There is no such file.
        case absent
        /// Something on the way is a symbolic link.
        case link
        /// The path leads out of the volume.
        case outside
        /// Anything else.
        case failed(LinuxError)
    }

    /// Opens a path of bytes with O_PATH: nothing is asked of a device, a FIFO or a server's access rules yet.
    func open(_ path: [UInt8]) throws(Refusal) -> Descriptor {
        var result = number(path)
        if result == -EACCES, FileRights.become(owner) {
            result = number(path)
            FileRights.becomeRoot()
        }
        if result >= 0 { return Descriptor(owning: result) }
        switch -result {
        case ENOENT: throw .absent
        case ELOOP: throw .link
        case EXDEV: throw .outside
        default: throw .failed(LinuxError("open", TerminalText.escape(bytes: path), code: -result))
        }
    }

    private func number(_ path: [UInt8]) -> Int32 {
        let flags = clinux_o_path | O_NOFOLLOW
        if way == .kernel {
            // RESOLVE_NO_XDEV 1, NO_MAGICLINKS 2, NO_SYMLINKS 4, BENEATH 8 (linux/openat2.h).
            let result = Self.with(path) { clinux_openat2(root, $0, UInt64(flags), 0, 1 | 2 | 4 | 8) }
            // Old kernels, gVisor; seccomp filters answer EPERM.
            guard result == -ENOSYS || result == -EPERM else { return result }
        }
        return walk(path, flags)
    }

    private func walk(_ path: [UInt8], _ flags: Int32) -> Int32 {
        let parts = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map(Array.init)
        guard !parts.contains(where: { $0.isEmpty || $0 == Array("..".utf8) }), !path.contains(0) else { return -EXDEV }
        let mount = try? FileStatus(descriptor: root)
        var current: Int32 = root
        defer { if current != root { close(current) } }
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            // O_NOFOLLOW with O_PATH opens a link itself: told from a directory by looking.
            let next = Self.with(part) { clinux_openat(current, $0, isLast ? flags : clinux_o_path | O_NOFOLLOW, 0) }
            guard next >= 0 else { return next }
            if current != root { close(current) }
            current = next
            guard let status = try? FileStatus(descriptor: next) else { return -EIO }
            if status.mountID != mount?.mountID { return -EXDEV }
            if isLast {
                // The caller gets it.
                current = root
                return next
            }
            if status.kind == .symbolicLink { return -ELOOP }
            if status.kind != .directory { return -ENOTDIR }
        }
        return -EXDEV
    }

    /// Opens what an O_PATH descriptor names for reading: the very same file, whatever was renamed meanwhile.
    static func reopen(_ file: borrowing Descriptor, _ flags: Int32) throws(LinuxError) -> Descriptor {
        try Descriptor(opening: "/proc/self/fd/\(file.number)", flags)
    }

    private static func with(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Int32) -> Int32 {
        (name.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer {
            $0.baseAddress.map(body) ?? -EINVAL
        }
    }
}
