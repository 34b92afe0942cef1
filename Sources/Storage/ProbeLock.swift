import Glibc
import LinuxKit

/// The lock that a probe child holds for as long as it lives: an flock(2) lock belongs to the open file description, which
/// the child inherits, so that it outlasts the asker, its threads and SIGKILL of a child that cannot die.
final class ProbeLock: Sendable {
    enum Refusal: Error, Equatable {
        /// Another child holds it, since that time of ``now()``.
        case busy(since: Int64?)
        /// No lock file can be made.
        case unavailable
    }

    /// For the child's standard input.
    let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Takes the lock of a mount, waiting for a probe that is not yet overdue.
    ///
    /// - Parameter patience: milliseconds that a probe may take; one that has taken longer is not waited for.
    static func take(in directory: String, mountID: UInt64, patience: Int) -> Result<ProbeLock, Refusal> {
        try? AtomicFile.createDirectory(directory)
        let path = "\(directory)/probe-\(mountID).lock"
        guard let file = try? Descriptor(opening: path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600) else {
            return .failure(.unavailable)
        }
        let giveUp = now() + Int64(patience)
        while flock(file.number, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else { return .failure(.unavailable) }
            let since = startTime(in: file.number)
            if now() >= giveUp || since.map({ now() - $0 >= Int64(patience) }) == true {
                return .failure(.busy(since: since))
            }
            usleep(5000)
        }
        let text = Array("\(now())\n".utf8)
        guard ftruncate(file.number, 0) == 0, pwrite(file.number, text, text.count, 0) == text.count else {
            return .failure(.unavailable)
        }
        let copy = fcntl(file.number, F_DUPFD_CLOEXEC, 3)
        return copy >= 0 ? .success(ProbeLock(copy)) : .failure(.unavailable)
    }

    /// Milliseconds since the machine started (CLOCK_BOOTTIME).
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    private static func startTime(in descriptor: Int32) -> Int64? {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        return Int64(String(decoding: buffer[0..<count].prefix { $0 >= 0x30 && $0 <= 0x39 }, as: UTF8.self))
    }
}
