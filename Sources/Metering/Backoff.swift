import Effects

/// Waiting times between attempts: full jitter, so that a fleet that lost its control plane does not come back as one wave.
struct Backoff: Sendable {
    static let minimum: UInt64 = 1000
    static let maximum: UInt64 = 300_000
    static let longestRetryAfter: UInt64 = 3_600_000
    private(set) var attempts = 0

    mutating func reset() { attempts = 0 }

    /// The next wait: uniform from 1 s to twice as much with every failure, at most 300 s.
    mutating func next(_ random: some RandomSource) -> UInt64 {
        attempts += 1
        let cap = min(Self.maximum, Self.minimum << min(UInt64(attempts), 20))
        return Self.minimum + Self.uniform(cap - Self.minimum, random)
    }

    /// What the server asked for, within 1 s and 1 h, and up to a fifth more.
    static func retryAfter(_ milliseconds: UInt64, _ random: some RandomSource) -> UInt64 {
        let asked = min(longestRetryAfter, max(minimum, milliseconds))
        return min(longestRetryAfter, asked + uniform(asked / 5, random))
    }

    static func uniform(_ limit: UInt64, _ random: some RandomSource) -> UInt64 {
        let value = random.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return limit == .max ? value : value % (limit + 1)
    }
}

/// The value of a Retry-After header (RFC 9110 section 10.2.3).
public enum RetryAfter {
    /// Milliseconds to wait from `now` (milliseconds since 1970 UTC); nil when the value is neither seconds nor a date in
    /// IMF-fixdate form. A date that has passed is 0.
    public static func milliseconds(_ value: String, now: Int64) -> UInt64? {
        let text = value.utf8.filter { $0 != 0x20 && $0 != 0x09 }
        if !text.isEmpty, text.allSatisfy({ (48...57).contains($0) }) {
            let seconds = text.count > 9 ? 999_999_999 : text.reduce(UInt64(0)) { $0 * 10 + UInt64($1 - 48) }
            return seconds * 1000
        }
        guard let date = date(value) else { return nil }
        let (difference, overflow) = (date * 1000).subtractingReportingOverflow(now)
        return overflow ? nil : UInt64(max(0, difference))
    }

    // Sun, 06 Nov 1994 08:49:37 GMT
    private static func date(_ value: String) -> Int64? {
        let parts = value.split(separator: " ")
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard parts.count == 6, parts[5] == "GMT", parts[0].hasSuffix(","), let day = Int64(parts[1]),
            (1...31).contains(day),
            let month = months.firstIndex(of: String(parts[2])), let year = Int64(parts[3]),
            (1970...9999).contains(year)
        else { return nil }
        let clock = parts[4].split(separator: ":").map { Int64($0) }
        guard clock.count == 3, let hour = clock[0], let minute = clock[1], let second = clock[2],
            (0...23).contains(hour),
            (0...59).contains(minute), (0...60).contains(second)
        else { return nil }
        // Days since 1970 of the proleptic Gregorian calendar, years counted from March.
        let y = month < 2 ? year - 1 : year
        let era = y / 400
        let ofEra = y - era * 400
        let ofYear = (153 * Int64((month + 10) % 12) + 2) / 5 + day - 1
        let days = era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
        return days * 86_400 + hour * 3600 + minute * 60 + second
    }
}
