public import LinuxKit

/// When the container's writable layer was made: what changed on the root overlay since then lies in that layer and is lost
/// with the pod.
///
/// The time is the birth of `/` by statx(2), which on overlayfs is the birth of the upper directory. Files of the image keep
/// their older change times, whatever their modification times are; the start of process 1 is the wrong time after a
/// restart of the container and in a shared PID namespace.
public enum WritableLayer: Sendable, Equatable {
    /// A file of the root mount belongs to the writable layer when its change time is not older than this.
    case since(FileStatus.Time)
    /// It cannot be told which files belong to it, for this reason (one sentence).
    case cannotTell(String)

    /// When the layer was made; nil when that cannot be told.
    public var start: FileStatus.Time? { if case .since(let time) = self { time } else { nil } }

    /// Files that nearly every image contains and users rarely replace.
    public static let imageFiles = [
        "/bin/sh", "/bin/ls", "/bin/cat", "/bin/cp", "/bin/mv", "/bin/ln", "/bin/chmod", "/bin/date", "/bin/uname",
        "/bin/sleep", "/usr/bin/env", "/usr/bin/id", "/usr/bin/head", "/usr/bin/sort", "/usr/bin/wc",
        "/usr/lib/os-release",
        "/etc/debian_version", "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/usr/share/zoneinfo/UTC",
        "/sbin/ldconfig", "/etc/protocols", "/bin/busybox", "/usr/bin/apt-get",
    ]

    /// Finds the time and checks it against files of the image.
    ///
    /// - Parameters:
    ///   - table: the mounts of this process.
    ///   - status: statx(2) of a path, following links; nil when that fails.
    public init(_ table: MountTable, status: (String) -> FileStatus? = { try? FileStatus($0, mode: .follow) }) {
        guard let root = table.root else {
            self = .cannotTell("the mount table does not show the root directory")
            return
        }
        // Sandboxes name their root overlay too, but only the kernel's shows its layers.
        guard root.filesystem == "overlay", root.hasSuperOption("lowerdir") || root.hasSuperOption("lowerdir+") else {
            self = .cannotTell("the root directory is \(BytePath(root.filesystem)), not an overlay of the kernel")
            return
        }
        guard let born = status("/")?.born else {
            self = .cannotTell("the file system below the root overlay does not keep the time of birth")
            return
        }
        let changes = Self.imageFiles.compactMap { status($0)?.changed }
        let later = changes.count { $0 >= born }
        if later * 2 > changes.count {
            self = .cannotTell(
                "\(later) of \(changes.count) known files of the image seem newer than the writable layer")
            return
        }
        self = .since(born)
    }
}
