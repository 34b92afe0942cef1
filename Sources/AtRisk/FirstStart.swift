import Glibc
public import LinuxKit
public import Storage

/// When the agent first ran in this container, and in this pod: what changed before that, the runtime, the image's
/// entrypoint or an init container did, not the user.
///
/// The container's stamp is a file in the state directory, whose own time is on the clock of its file system. The pod's
/// stamp lies in `/dev/shm`, which lives exactly as long as the pod: when the container is restarted, its layer is new, and
/// the user's files in emptyDir volumes are older than it.
public struct FirstStart: Sendable, Equatable {
    /// The first start in this container; nil before ``record(stateDirectory:podDirectory:layerBorn:)``.
    public let container: FileStatus.Time?
    /// The first start in this pod.
    public let pod: FileStatus.Time?

    /// Takes known times.
    public init(container: FileStatus.Time?, pod: FileStatus.Time?) {
        self.container = container
        self.pod = pod
    }

    static let fileName = "first-start"
    static let podFileName = ".packet-agent-first-start"

    /// Writes the stamps that are not there yet. Call it first thing in the daemon and in boot.
    ///
    /// - Parameters:
    ///   - podDirectory: a directory that lives as long as the pod; nil leaves the pod's stamp out.
    ///   - layerBorn: the birth of the writable layer: an older stamp came with the image and is replaced.
    ///   - root: the root directory, whose packages are noted; another one in tests.
    /// - Throws: ``LinuxError`` when the container's stamp cannot be written.
    public static func record(
        stateDirectory: String, podDirectory: String? = "/dev/shm", layerBorn: FileStatus.Time? = nil,
        root: BytePath = .root
    ) throws(LinuxError) {
        try AtomicFile.createDirectory(stateDirectory)
        let path = "\(stateDirectory)/\(fileName)"
        if let layerBorn, let old = try? FileStatus(path), old.changed < layerBorn { unlink(path) }
        if try stamp(path) { try ImagePackages.gather(root: root).save(stateDirectory: stateDirectory) }
        // Without it data in emptyDir volumes is reported that an init container put there: the safe side.
        if let podDirectory { _ = try? stamp("\(podDirectory)/\(podFileName)") }
    }

    /// Writes a stamp; false when there is one already.
    private static func stamp(_ path: String) throws(LinuxError) -> Bool {
        if let status = try? FileStatus(path), isOurs(status) { return false }
        let now = Self.now()
        let nanoseconds = String(now.nanoseconds)
        let padded = String(repeating: "0", count: 9 - nanoseconds.count) + nanoseconds
        try AtomicFile.write(Array("\(now.seconds).\(padded)\n".utf8), to: path)
        return true
    }

    /// Reads the stamps; a file of another user is none.
    ///
    /// - Parameter rootMount: the mount id of `/`, to see whether the state directory shares its clock.
    public static func load(
        stateDirectory: String, podDirectory: String? = "/dev/shm", rootMount: UInt64?
    ) -> FirstStart {
        let path = "\(stateDirectory)/\(fileName)"
        var container: FileStatus.Time?
        if let status = try? FileStatus(path), isOurs(status) {
            container =
                status.mountID != nil && status.mountID == rootMount ? status.born ?? status.changed : recorded(path)
        }
        let podPath = podDirectory.map { "\($0)/\(podFileName)" }
        let pod = podPath.flatMap { path in (try? FileStatus(path)).flatMap { isOurs($0) ? recorded(path) : nil } }
        return FirstStart(container: container, pod: pod)
    }

    private static func isOurs(_ status: FileStatus) -> Bool {
        status.kind == .regular && (status.uid == 0 || status.uid == geteuid())
    }

    private static func recorded(_ path: String) -> FileStatus.Time? {
        guard let text = try? LocalFile.readText(path, limit: 64) else { return nil }
        return FileTime.parse(text.prefix { $0 != "\n" })
    }

    /// Now, on the clock from which file systems take their times.
    public static func now() -> FileStatus.Time {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return FileStatus.Time(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }
}

/// File times as `seconds.nanoseconds`, nine digits after the point.
enum FileTime {
    static func parse(_ text: some StringProtocol) -> FileStatus.Time? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1].count == 9, let seconds = Int64(parts[0]), let nanoseconds = UInt32(parts[1]),
            nanoseconds < 1_000_000_000
        else { return nil }
        return FileStatus.Time(seconds: seconds, nanoseconds: nanoseconds)
    }

    static func format(_ time: FileStatus.Time) -> String {
        let digits = String(time.nanoseconds)
        return "\(time.seconds)." + String(repeating: "0", count: 9 - digits.count) + digits
    }
}
