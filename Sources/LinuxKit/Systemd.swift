import CSystemd
import Glibc

/// What a service says to its manager (sd_notify(3)); without systemd every call does nothing.
public enum Systemd {
    /// True when a manager listens: NOTIFY_SOCKET is set and libsystemd could be opened.
    public static var isNotified: Bool { getenv("NOTIFY_SOCKET") != nil && csystemd_available() == 1 }

    /// Sends assignments such as `READY=1` or `STATUS=...`, newline-separated.
    public static func notify(_ state: String) {
        guard getenv("NOTIFY_SOCKET") != nil else { return }
        _ = csystemd_notify(state)
    }

    /// The interval in microseconds within which the manager expects `WATCHDOG=1`; nil when it does not.
    public static var watchdogInterval: UInt64? {
        var interval: UInt64 = 0
        return csystemd_watchdog_enabled(&interval) > 0 ? interval : nil
    }

    /// True when journald listens: sd_journal_sendv(3) answers 0 without it, and records would vanish.
    public static var hasJournal: Bool {
        access("/run/systemd/journal/socket", W_OK) == 0 && csystemd_available() == 1
    }

    /// Sends one entry of `NAME=value` fields to the journal; false when it was not taken.
    public static func journal(_ fields: [(name: String, value: String)]) -> Bool {
        let lines = fields.map { Array("\($0.name)=\($0.value)".utf8) }
        let pointers = lines.map { line -> UnsafeMutableRawBufferPointer in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: line.count, alignment: 1)
            copy.copyBytes(from: line)
            return copy
        }
        defer { for pointer in pointers { pointer.deallocate() } }
        let vectors = pointers.map { iovec(iov_base: $0.baseAddress, iov_len: $0.count) }
        return csystemd_journal_sendv(vectors, Int32(vectors.count)) == 0
    }
}
