import Glibc

/// The process's own environment (environ(7)).
public enum ProcessEnvironment {
    /// As it was at start; of two values of one name the first counts, as for getenv(3).
    public static let current: [String: String] = {
        var result: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "="), result[String(text[..<equals])] == nil {
                result[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            next += 1
        }
        return result
    }()

    /// The entries as bytes, in order, without their NUL: what is not UTF-8 and what has no `=` is kept.
    public static var entries: [[UInt8]] {
        // NULL after clearenv(3).
        guard var next = environ as UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? else { return [] }
        var entries: [[UInt8]] = []
        while let entry = next.pointee {
            entries.append(CStringArray.bytes(of: entry))
            next += 1
        }
        return entries
    }

    /// What children of a service get: everything but what the manager said to this process alone (sd_notify(3)).
    public static let forChildren: [String: String] = {
        current.filter { !["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"].contains($0.key) }
    }()

    /// Another process's environment as it was when its program started (`/proc/PID/environ`, proc(5)); what the program
    /// changed since is not seen. Entries that are not UTF-8 are repaired: they are compared and shown, never passed on.
    ///
    /// - Throws: ``LinuxError`` when the process is gone or may not be looked at.
    public static func of(_ pid: Int32, proc: String = "/proc") throws(LinuxError) -> [String: String] {
        var environment: [String: String] = [:]
        for entry in try LocalFile.read("\(proc)/\(pid)/environ", limit: 4 << 20).split(separator: 0) {
            guard let equals = entry.firstIndex(of: UInt8(ascii: "=")), equals > entry.startIndex else { continue }
            let name = String(decoding: entry[..<equals], as: UTF8.self)
            // The first of two equal names is the one that getenv(3) finds.
            if environment[name] == nil { environment[name] = String(decoding: entry[(equals + 1)...], as: UTF8.self) }
        }
        return environment
    }
}
