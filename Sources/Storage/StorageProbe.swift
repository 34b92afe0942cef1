import FoundationEssentials
import Glibc
import LinuxKit

/// Asks a file system that may never answer, through a child process with a deadline.
///
/// A thread that waits for a dead NFS server or FUSE program cannot be interrupted, and one that waits for a FUSE program
/// which read the request survives even SIGKILL. So the question is put by a child: this same program, started as
/// `probe QUESTION PATH`. It holds a lock file as its standard input, so that while it hangs, nobody starts a second one
/// for the same mount.
public struct StorageProbe: Sendable {
    /// What a probe found.
    public enum Outcome<Answer: Sendable & Equatable>: Sendable, Equatable {
        /// The file system answered.
        case answered(Answer)
        /// No answer in time, or an earlier question still waits: one sentence.
        case stuck(String)
        /// The file system answered with an error: one sentence.
        case refused(String)
        /// The question could not be put: one sentence.
        case failed(String)
    }

    /// The size of a file system.
    public struct Space: Sendable, Equatable {
        /// Bytes in all; nil where the file system does not say.
        public let size: UInt64?
        /// Bytes in use; nil where the file system does not say.
        public let used: UInt64?
        /// Bytes that this user may still write.
        public let available: UInt64?
        /// Files that can still be made; nil where the file system has no such limit.
        public let freeFiles: UInt64?
        /// False when this user may not write to the mount point, by access(2).
        public let isWritable: Bool
    }

    /// Where a path leads inside mounts that only a child may touch.
    public struct Target: Sendable, Equatable {
        /// The path without symbolic links.
        public let resolved: BytePath
        /// Whether it exists; nil when a directory on the way cannot be searched.
        public let exists: Bool?
        /// The path itself, or the nearest directory above it that exists.
        public let existing: BytePath
        /// The symbolic links on the way, in order.
        public let hops: [PathResolution.Hop]
    }

    /// The program to start, with ``arguments`` before the question.
    public let executable: String
    /// Milliseconds that an answer may take.
    public let deadline: Int
    /// The directory of the lock files; nil starts probes without locks.
    public let lockDirectory: String?
    /// Where the proc file system is mounted.
    public let procRoot: String

    /// Describes how to probe.
    ///
    /// - Parameter executable: this program; its `main` must hand `probe` to ``main(arguments:)`` before anything else.
    public init(
        executable: String = "/proc/self/exe", deadline: Int = 2000,
        lockDirectory: String? = Self.defaultLockDirectory(),
        procRoot: String = "/proc"
    ) {
        self.executable = executable
        self.deadline = deadline
        self.lockDirectory = lockDirectory
        self.procRoot = procRoot
    }

    /// `/run/packet-agent` where this user may write to it, else a directory of this user's own below /tmp; nil when
    /// somebody else took its name.
    public static func defaultLockDirectory() -> String? {
        let shared = "/run/packet-agent"
        if geteuid() == 0 || access(shared, W_OK) == 0 { return shared }
        let own = "/tmp/packet-agent-\(geteuid())"
        mkdir(own, 0o700)
        guard let status = try? FileStatus(own), status.kind == .directory, status.uid == geteuid(),
            status.permissions & 0o022 == 0
        else { return nil }
        return own
    }

    /// The size of the file system of a mount and whether it can be written.
    public func space(of mount: Mount) -> Outcome<Space> {
        ask("statfs", mount.mountPoint, on: mount) { answer in
            Space(
                size: answer.sizeBytes, used: answer.usedBytes, available: answer.availableBytes,
                freeFiles: answer.freeFiles,
                isWritable: answer.writable ?? false)
        }
    }

    /// Where a path leads that enters a mount which may hang.
    public func target(of path: BytePath, enteringAt mount: Mount) -> Outcome<Target> {
        ask("resolve", path, on: mount) { answer in
            func path(_ text: String?) -> BytePath? {
                text.flatMap { Data(base64Encoded: $0) }.map { BytePath(bytes: $0) }
            }
            guard let resolved = path(answer.resolved), let existing = path(answer.existing) else { return nil }
            let hops = (answer.hops ?? []).compactMap { hop in
                path(hop.first).flatMap { link in path(hop.last).map { PathResolution.Hop(link: link, target: $0) } }
            }
            return Target(resolved: resolved, exists: answer.exists, existing: existing, hops: hops)
        }
    }

    func ask<Answer>(
        _ question: String, _ path: BytePath, on mount: Mount, more: [String] = [], read: (ProbeAnswer) -> Answer?
    ) -> Outcome<Answer> {
        let start = ProbeLock.now()
        var lock: ProbeLock?
        if let lockDirectory {
            switch ProbeLock.take(in: lockDirectory, mountID: mount.id, patience: deadline) {
            case .success(let taken): lock = taken
            case .failure(.busy(let since)):
                let waited = since.map { "for \(max(0, ProbeLock.now() - $0) / 1000) s" } ?? "already"
                return .stuck("a question to \(mount.mountPoint) has waited \(waited) without an answer")
            // Without a lock the question can still be put; only the limit of one child is not kept.
            case .failure(.unavailable): break
            }
        }
        let specification = ChildProcess.Specification(
            executable: executable, arguments: ["probe", question, ProbePath.encode(path), "--proc", procRoot] + more,
            environment: ["PATH": "/usr/bin:/bin"], workingDirectory: "/", descriptors: (lock?.descriptor, nil, nil))
        let left = max(1, deadline - Int(ProbeLock.now() - start))
        let captured: ChildProcess.Captured
        do {
            captured = try ChildProcess.capture(specification, limit: 65536, milliseconds: left)
        } catch {
            return .failed(error.description)
        }
        // Our copy of the lock closes here; the child's stays until it has really ended.
        lock = nil
        if captured.timedOut { return .stuck("\(mount.mountPoint) did not answer within \(deadline) ms") }
        guard let answer = try? JSONDecoder().decode(ProbeAnswer.self, from: Data(captured.output)) else {
            return .failed("the probe of \(mount.mountPoint) ended without an answer")
        }
        if let code = answer.errorNumber {
            return .refused(LinuxError("examine", path.description, code: code).description)
        }
        return read(answer).map(Outcome.answered) ?? .failed("the probe of \(mount.mountPoint) gave an unknown answer")
    }
}

/// What the child writes: one line of JSON.
struct ProbeAnswer: Codable, Equatable {
    var sizeBytes: UInt64?
    var usedBytes: UInt64?
    var availableBytes: UInt64?
    var freeFiles: UInt64?
    var writable: Bool?
    var resolved: String?
    var exists: Bool?
    var existing: String?
    /// Link and target of each hop.
    var hops: [[String]]?
    var examination: VolumeExamination?
    var errorNumber: Int32?

    enum CodingKeys: String, CodingKey {
        case sizeBytes = "size_bytes"
        case usedBytes = "used_bytes"
        case availableBytes = "available_bytes"
        case freeFiles = "free_files"
        case writable
        case resolved = "resolved_b64"
        case exists
        case existing = "existing_b64"
        case hops = "hops_b64"
        case examination
        case errorNumber = "errno"
    }
}

/// A path as an argument of a program: `%` and bytes that are not UTF-8 as `%NN`.
enum ProbePath {
    static func encode(_ path: BytePath) -> String {
        let text = path.text.map { Array($0.utf8) }
        var result: [UInt8] = []
        for byte in path.bytes {
            if byte == UInt8(ascii: "%") || (text == nil && byte >= 0x80) {
                let hex = String(byte, radix: 16)
                result += Array("%\(hex.count < 2 ? "0" : "")\(hex)".utf8)
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    static func decode(_ argument: String) -> BytePath {
        let bytes = Array(argument.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
                let value = UInt8(String(decoding: bytes[index + 1...index + 2], as: UTF8.self), radix: 16)
            {
                result.append(value)
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return BytePath(bytes: result)
    }
}
