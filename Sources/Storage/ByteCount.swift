/// Amounts of bytes for people.
public enum ByteCount {
    /// `512 B`, `1.5 KiB`, `14.2 GiB`: powers of 1024 (IEC 80000-13) with one decimal, rounded half up.
    public static func format(_ bytes: UInt64) -> String {
        if bytes < 1024 { return "\(bytes) B" }
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var exponent = 0
        var divisor: UInt64 = 1024
        while true {
            // Tenths, without overflow: the whole part and the rest apart.
            let tenths = bytes / divisor * 10 + (bytes % divisor * 10 + divisor / 2) / divisor
            // 1023.96 KiB would round to 1024.0: the next unit says it better.
            if tenths < 10240 || exponent == units.count - 1 {
                return "\(tenths / 10).\(tenths % 10) \(units[exponent])"
            }
            exponent += 1
            divisor *= 1024
        }
    }
}
