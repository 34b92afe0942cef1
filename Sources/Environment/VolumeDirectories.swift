import Glibc
import LinuxKit

/// A directory that must exist on the volume before a tool is pointed at it.
public enum VolumeDirectory: Sendable, Equatable {
    /// With owner and permissions of the volume's root, so that whoever may write there may write here.
    case shared(String)
    /// 0700 for one user.
    case `private`(String, uid: UInt32)

    /// The path relative to the volume's root.
    public var path: String {
        switch self {
        case .shared(let path), .private(let path, _): path
        }
    }

    var argument: String {
        switch self {
        case .shared(let path): "shared:" + path
        case .private(let path, let uid): "\(uid):" + path
        }
    }

    init?(argument: String) {
        let parts = argument.split(separator: ":", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        if parts[0] == "shared" {
            self = .shared(String(parts[1]))
        } else if let uid = UInt32(parts[0]) {
            self = .private(String(parts[1]), uid: uid)
        } else {
            return nil
        }
    }
}

/// Makes directories on a volume, in a child process with a deadline.
public enum VolumeDirectories {
    /// What became of one directory.
    public enum Outcome: Sendable, Equatable {
        /// It was made.
        case made
        /// It was there and was left as it is.
        case existed
        /// It could not be made, and why.
        case failed(String)
    }

    /// Makes directories and says what became of each.
    ///
    /// - Parameters:
    ///   - mountID: the id of the mount that must be at `mountPoint`; with it nothing is made on the layer below when the
    ///     volume was unmounted meanwhile.
    ///   - milliseconds: after this all directories without an answer have failed.
    public static func make(
        _ directories: [VolumeDirectory], at mountPoint: String, mountID: UInt64? = nil, probe: ProbeProgram = .current,
        milliseconds: Int = 3000
    ) -> [Outcome] {
        if directories.isEmpty { return [] }
        let arguments = [mountPoint, mountID.map { "\($0)" } ?? "-"] + directories.map(\.argument)
        var missing = "the volume did not answer within \(milliseconds) ms"
        var outcomes: [Outcome] = []
        do {
            let answer = try probe.run("mkdir", arguments, milliseconds: milliseconds)
            if !answer.timedOut { missing = "the probe ended without an answer" }
            for line in String(decoding: answer.output, as: UTF8.self).split(separator: "\n") {
                switch line {
                case "made": outcomes.append(.made)
                case "existed": outcomes.append(.existed)
                default: outcomes.append(.failed(String(line)))
                }
            }
        } catch {
            missing = error.description
        }
        outcomes = Array(outcomes.prefix(directories.count))
        return outcomes + Array(repeating: .failed(missing), count: directories.count - outcomes.count)
    }

    /// The child's side: `mkdir MOUNT-POINT MOUNT-ID|- (shared|UID):PATH...`. Writes one line per directory.
    public static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count > 2 else { return 64 }
        var failed = false
        for argument in arguments.dropFirst(2) {
            var line: String
            do {
                guard let directory = VolumeDirectory(argument: argument) else { return 64 }
                line = try make(directory, at: arguments[0], mountID: UInt64(arguments[1])) ? "made" : "existed"
            } catch {
                line = error.description
                failed = true
            }
            StandardOutput.write(line + "\n")
        }
        return failed ? 1 : 0
    }

    /// Makes one directory, component by component below the volume's root, following no symbolic link.
    private static func make(_ wanted: VolumeDirectory, at mountPoint: String, mountID: UInt64?) throws(LinuxError)
        -> Bool
    {
        let root = try Descriptor(opening: mountPoint, O_RDONLY | O_DIRECTORY)
        let volume = try FileStatus(descriptor: root.number)
        if let mountID, let found = volume.mountID, mountID != found {
            throw LinuxError("find the volume at", mountPoint, code: ENODEV)
        }
        var current = Descriptor(owning: dup(root.number))
        var made = false
        let parts = wanted.path.split(separator: "/").map(String.init)
        for (index, part) in parts.enumerated() {
            let subject = mountPoint + "/" + parts[0...index].joined(separator: "/")
            guard part != ".." else { throw LinuxError("create directory", subject, code: EINVAL) }
            let isLast = index == parts.count - 1
            // Made private first, opened up only once it has its owner.
            made = mkdirat(current.number, part, 0o700) == 0
            if !made && errno != EEXIST { throw LinuxError("create directory", subject, code: errno) }
            let next = openat(current.number, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard next >= 0 else { throw LinuxError("open directory", subject, code: errno) }
            current = Descriptor(owning: next)
            let owner = owner(of: wanted, part: index == 0 ? part : "", isLast: isLast, volume: volume)
            if made {
                do throws(LinuxError) {
                    try prepare(current.number, owner, subject: subject)
                } catch {
                    // Half prepared it would look like somebody's own the next time.
                    rmdir(subject)
                    throw error
                }
            } else if isLast, case .private(_, let uid) = wanted {
                let found = try FileStatus(descriptor: current.number)
                guard found.uid == uid, found.permissions & 0o077 == 0 else {
                    throw LinuxError("use as a private directory (owner or mode is wrong)", subject, code: EPERM)
                }
            }
        }
        return made
    }

    private typealias Owner = (uid: UInt32, gid: UInt32, mode: UInt32)

    private static func owner(of wanted: VolumeDirectory, part: String, isLast: Bool, volume: FileStatus) -> Owner {
        // The agent's own directory is never open to others, whatever the volume's root allows.
        if part == ".packet" { return (geteuid(), getegid(), 0o755) }
        switch wanted {
        case .shared: return (volume.uid, volume.gid, volume.permissions | 0o700)
        case .private(_, let uid): return isLast ? (uid, .max, 0o700) : (geteuid(), getegid(), 0o711)
        }
    }

    private static func prepare(_ descriptor: Int32, _ owner: Owner, subject: String) throws(LinuxError) {
        if geteuid() == 0, fchown(descriptor, owner.uid, owner.gid) != 0 {
            let code = errno
            // A server that maps root to nobody refuses this; fine when the owner is right already.
            guard try FileStatus(descriptor: descriptor).uid == owner.uid else {
                throw LinuxError("set owner of", subject, code: code)
            }
        }
        guard fchmod(descriptor, owner.mode) == 0 else { throw LinuxError("set mode of", subject, code: errno) }
    }
}
