import CLinux
import Glibc
public import LinuxKit
import Synchronization

/// Somebody who exchanges names on a disk, as fast as the kernel can, while a test does something with them.
///
/// Half of a pair stands at the name that is attacked at any time, so that each try meets the good and the bad one by chance.
public final class Racer: Sendable {
    private let isStopped = Mutex(false)
    private let exchanges = Mutex(0)
    private let ended = Mutex(0)
    private let pairs: [(String, String)]

    /// How often a race is tried: `PACKET_RACE_TRIES`, as scripts/check-deep sets it, else what one test run has time for.
    public static let tries = getenv("PACKET_RACE_TRIES").flatMap { Int(String(cString: $0)) } ?? 2000

    /// Begins to exchange (renameat2(2), RENAME_EXCHANGE) the two paths of each pair, one thread a pair.
    public init(_ pairs: [(String, String)]) throws(LinuxError) {
        self.pairs = pairs
        for (first, second) in pairs {
            _ = try DedicatedThread(name: "racer") { [self] in
                var count = 0
                while !isStopped.withLock({ $0 }) {
                    if clinux_renameat2(FileStatus.currentDirectory, first, FileStatus.currentDirectory, second, 2) == 0
                    {
                        count += 1
                    }
                }
                exchanges.withLock { $0 += count }
                ended.withLock { $0 += 1 }
            }
        }
    }

    /// Ends the race.
    ///
    /// - Returns: how many exchanges there were.
    public func stop() -> Int {
        isStopped.withLock { $0 = true }
        while ended.withLock({ $0 }) < pairs.count { usleep(1000) }
        return exchanges.withLock { $0 }
    }
}
