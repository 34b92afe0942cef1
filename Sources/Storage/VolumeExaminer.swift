import FoundationEssentials
import Glibc
import LinuxKit

/// The child's side of ``StorageProbe/examine(_:lease:)``: every call here may hang.
struct VolumeExaminer {
    /// `volume.json`: which volume this is, wherever it is mounted.
    private struct Identity: Codable {
        var schema = "packet-agent/volume/1"
        var id: String
        var madeAt: String
        var attachment: VolumeAttachment?

        enum CodingKeys: String, CodingKey {
            case schema, id, attachment
            case madeAt = "made_at"
        }
    }

    /// The volume's `.packet`; once it is open, by its descriptor.
    private var directory: String
    let lease: VolumeLease
    let attachment: VolumeAttachment?
    /// Whether the lease is taken; else only seen.
    let renews: Bool
    private static let limit = 64 << 10

    init(volume: String, lease: VolumeLease, attachment: VolumeAttachment? = nil, renews: Bool = true) {
        self.renews = renews
        directory = volume + "/.packet"
        self.lease = lease
        self.attachment = attachment
    }

    func examine() -> VolumeExamination {
        var found = VolumeExamination()
        var inside = self
        do throws(LinuxError) {
            try AtomicFile.createDirectory(directory)
            // Whoever may write to the volume's root could put a link there, and lead root's files elsewhere.
            let held = try Descriptor(opening: directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            defer { _ = held.number }
            inside.directory = "/proc/self/fd/\(held.number)"
            try inside.fill(&found)
        } catch {
            let subject = error.subject.replacing(inside.directory, with: directory)
            found.failure = LinuxError(error.operation, subject, code: error.code).description
            // On a file system that knows root as root, permissions are no obstacle to it.
            if geteuid() == 0, error.code == EACCES || error.code == EPERM {
                found.rootBecomes = found.rootBecomes ?? 65534
            }
        }
        return found
    }

    private func fill(_ found: inout VolumeExamination) throws(LinuxError) {
        let now = try tryFiles(&found)
        let identity = try identity()
        (found.identity, found.attachment) = (identity.id, identity.attachment)
        try renew(at: now, &found)
    }

    /// Makes, locks and removes a file; the volume's own time.
    private func tryFiles(_ found: inout VolumeExamination) throws(LinuxError) -> Int64 {
        let path = "\(directory)/.examine.\(lease.start)"
        defer { unlink(path) }
        let start = ContinuousClock.now
        let file = try Descriptor(opening: path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
        try file.writeAll([UInt8](repeating: 0, count: 4096))
        try file.sync()
        found.writeMilliseconds = Double((ContinuousClock.now - start) / .microseconds(1)) / 1000
        let status = try FileStatus(descriptor: file.number)
        if geteuid() == 0, status.uid != 0 { found.rootBecomes = status.uid }
        // SQLite and many others use the locks of fcntl(2); pip, Hugging Face and uv those of flock(2).
        if lockf(file.number, F_TLOCK, 0) != 0 {
            found.lockFailure = "fcntl: \(LinuxError("lock", path, code: errno).reason)"
        } else if flock(file.number, LOCK_EX | LOCK_NB) != 0, errno != EWOULDBLOCK {
            // EWOULDBLOCK: NFS turns flock(2) into a lock of fcntl(2), which this process holds already.
            found.lockFailure = "flock: \(LinuxError("lock", path, code: errno).reason)"
        }
        return status.modified.seconds
    }

    private func identity() throws(LinuxError) -> Identity {
        let path = directory + "/volume.json"
        if var known: Identity = read(path) {
            // The first attachment stays: a later one with another id means that another volume was mounted. Only a
            // different control plane, which counts its own volumes, begins anew.
            guard let attachment, known.attachment?.controlPlane != attachment.controlPlane else { return known }
            known.attachment = attachment
            try AtomicFile.write(encode(known), to: path)
            return known
        }
        let made = Identity(id: UUID().uuidString.lowercased(), madeAt: lease.renewedAt, attachment: attachment)
        let text = encode(made)
        do throws(LinuxError) {
            // Two pods may see a new volume at once: only one makes the file.
            let file = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o644)
            try file.writeAll(text)
            try file.sync()
        } catch {
            guard error.code == EEXIST else { throw error }
            // One that nobody can read was cut off while it was made.
            if let known: Identity = read(path) { return known }
            try AtomicFile.write(text, to: path)
        }
        return made
    }

    private func renew(at now: Int64, _ found: inout VolumeExamination) throws(LinuxError) {
        let path = directory + "/lease", asking = directory + "/lease.contender"
        let old: VolumeLease? = read(path)
        func isAlive(_ path: String, _ lease: VolumeLease) -> Bool {
            guard lease.ended == nil, let status = try? FileStatus(path) else { return false }
            return now - status.modified.seconds < VolumeLease.lifetimeSeconds
        }
        if let old, old.pod != lease.pod, isAlive(path, old) {
            // The holder keeps the lease and learns of us.
            found.otherPod = old
            guard renews else { return }
            if lease.ended == nil { try AtomicFile.write(encode(lease), to: asking) } else { unlink(asking) }
            return
        }
        guard renews else { return }
        if let old, old.start != lease.start { found.previous = old }
        try AtomicFile.write(encode(lease), to: path)
        if let contender: VolumeLease = read(asking) {
            if contender.pod != lease.pod, isAlive(asking, contender) {
                found.otherPod = contender
            } else {
                unlink(asking)
            }
        }
    }

    private func read<T: Decodable>(_ path: String) -> T? {
        (try? LocalFile.read(path, limit: Self.limit)).flatMap { try? JSONDecoder().decode(T.self, from: Data($0)) }
    }

    private func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        // Strings and numbers always encode.
        return Array((try? encoder.encode(value)) ?? Data()) + [UInt8(ascii: "\n")]
    }
}
