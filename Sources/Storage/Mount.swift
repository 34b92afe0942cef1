/// One mount of this process's mount namespace: one line of /proc/self/mountinfo (proc_pid_mountinfo(5)), decoded.
public struct Mount: Sendable, Equatable {
    /// The number of a block or anonymous device.
    public struct Device: Sendable, Hashable {
        /// Major number; 0 for anonymous devices, such as those of overlayfs, tmpfs and NFS.
        public let major: UInt32
        /// Minor number.
        public let minor: UInt32

        /// Makes a device number.
        public init(major: UInt32, minor: UInt32) {
            self.major = major
            self.minor = minor
        }
    }

    /// Unique while mounted; equals the mount id that statx(2) gives.
    public let id: UInt64
    /// The mount that this one is mounted on; not in the table for the process's root.
    public let parent: UInt64
    /// The device of the file system (st_dev of its files).
    public let device: Device
    /// The directory of the file system that is visible at the mount point. Not always a path: `net:[4026531840]`.
    public let root: BytePath
    /// Where it is mounted, seen from the process's root.
    public let mountPoint: BytePath
    /// Options of this mount, comma-separated and as written (escapes kept).
    public let options: [UInt8]
    /// Optional fields: `shared:1`, `master:2`, `propagate_from:3`, `unbindable`, or newer ones.
    public let tags: [[UInt8]]
    /// File system type, with the subtype after a dot: `nfs4`, `fuse.juicefs`.
    public let filesystem: String
    /// What is mounted: a device, `server:/export`, or any text; may be empty.
    public let source: BytePath
    /// Options of the file system, comma-separated and as written (escapes kept).
    public let superOptions: [UInt8]

    /// Makes a mount.
    public init(
        id: UInt64, parent: UInt64, device: Device, root: BytePath, mountPoint: BytePath,
        options: [UInt8] = Array("rw".utf8),
        tags: [[UInt8]] = [], filesystem: String, source: BytePath, superOptions: [UInt8] = Array("rw".utf8)
    ) {
        self.id = id
        self.parent = parent
        self.device = device
        self.root = root
        self.mountPoint = mountPoint
        self.options = options
        self.tags = tags
        self.filesystem = filesystem
        self.source = source
        self.superOptions = superOptions
    }

    /// True when nothing can be written through this mount: `ro` of the mount, or of the whole file system.
    public var isReadOnly: Bool { Self.has("ro", in: options) || Self.has("ro", in: superOptions) }

    /// True when the options of this mount contain `name`.
    public func hasOption(_ name: String) -> Bool { Self.has(name, in: options) }

    /// True when the options of the file system contain `name`, with or without a value.
    public func hasSuperOption(_ name: String) -> Bool { Self.has(name, in: superOptions) }

    private static func has(_ name: String, in options: [UInt8]) -> Bool {
        var name = name
        return name.withUTF8 { name in
            options.withUnsafeBufferPointer { options in
                var start = 0
                while start < options.count {
                    let end = options[start...].firstIndex(of: UInt8(ascii: ",")) ?? options.count
                    // `name` or `name=value`.
                    if end - start == name.count || (end - start > name.count && options[start + name.count] == 0x3d),
                        options[start..<start + name.count].elementsEqual(name)
                    {
                        return true
                    }
                    start = end + 1
                }
                return false
            }
        }
    }
}
