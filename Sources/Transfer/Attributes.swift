import CLinux
import Glibc
import LinuxKit
import Storage

/// Gives a copy its owner, permissions, extended attributes and times.
struct Attributes {
    /// UTIME_OMIT of utimensat(2), a macro: leaves a time as it is.
    private static let omit = (1 << 30) - 2

    let run: CopyRun

    /// Gives an open file or directory what the source has; its times last, because they say that the copy is complete.
    ///
    /// - Parameter source: the source, open, for its extended attributes.
    func apply(_ status: FileStatus, from source: Int32, to target: Int32, path: BytePath) throws(TransferError) {
        extended(source, target)
        let found: FileStatus
        do throws(LinuxError) { found = try FileStatus(descriptor: target) } catch {
            throw .system("look at", path, error.code)
        }
        if found.uid != status.uid || found.gid != status.gid {
            // Who is not root may still set the group; a server that maps root to nobody refuses both.
            if fchown(target, status.uid, status.gid) != 0 {
                run.note(.owner)
                if found.gid != status.gid { _ = fchown(target, .max, status.gid) }
            }
        }
        // A change of owner takes setuid and setgid away, so this comes after it.
        if found.permissions != status.permissions || status.permissions & 0o6000 != 0,
            fchmod(target, status.permissions) != 0
        {
            run.note(.mode)
        }
        // The access time is not a property of the data.
        let times = [timespec(tv_sec: 0, tv_nsec: Self.omit), Self.time(status.modified)]
        guard futimens(target, times) == 0 else { throw .system("set times of", path, errno) }
    }

    /// Gives a symbolic link its owner and time; links have no permissions of their own.
    func apply(_ status: FileStatus, toLink name: FileName, in directory: Int32, path: BytePath) throws(TransferError) {
        if status.uid != geteuid() || status.gid != getegid(),
            fchownat(directory, name, status.uid, status.gid, AT_SYMLINK_NOFOLLOW) != 0
        {
            run.note(.owner)
        }
        let times = [timespec(tv_sec: 0, tv_nsec: Self.omit), Self.time(status.modified)]
        // Not every file system keeps the times of links.
        guard utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) == 0 || errno == ENOTSUP || errno == ENOSYS else {
            throw .system("set times of", path, errno)
        }
    }

    private static func time(_ time: FileStatus.Time) -> timespec {
        timespec(tv_sec: Int(time.seconds), tv_nsec: Int(time.nanoseconds))
    }

    private func extended(_ source: Int32, _ target: Int32) {
        let size = flistxattr(source, nil, 0)
        guard size > 0 else { return }
        var names = [CChar](repeating: 0, count: size + 256)
        let listed = flistxattr(source, &names, names.count)
        guard listed >= 0 else { return run.note(.attributes) }
        // Overlayfs counts its own attributes in the size and leaves them out of the list, so that this may be empty.
        var isComplete = true
        for name in names[0..<listed].split(separator: 0) {
            let name = Array(name) + [0]
            // Labels belong to the machine; NFS shows its own lists under this name.
            if name.bytes.starts(with: "security.selinux".utf8) || name.bytes.starts(with: "system.nfs4".utf8) {
                continue
            }
            let length = fgetxattr(source, name, nil, 0)
            var value = [UInt8](repeating: 0, count: max(length, 0) + 64)
            let count = length < 0 ? -1 : fgetxattr(source, name, &value, value.count)
            // Only root may read some; what cannot be read or set is missing at the copy.
            if count < 0 || fsetxattr(target, name, value, count, 0) != 0 { isComplete = false }
        }
        if !isComplete { run.note(.attributes) }
    }
}
