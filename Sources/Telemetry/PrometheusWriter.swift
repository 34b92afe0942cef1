/// Writes the Prometheus text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
struct PrometheusWriter {
    private(set) var bytes: [UInt8] = []

    /// A value as dcgm-exporter prints it: whole numbers as they are, others with six digits.
    enum Value {
        case integer(UInt64)
        case number(Double)
    }

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    /// Starts a family; its samples must follow.
    mutating func family(_ name: StaticString, _ type: MetricType, _ help: StaticString) {
        text("# HELP ")
        text(name)
        text(" ")
        text(help)
        text("\n# TYPE ")
        text(name)
        text(type == .counter ? " counter\n" : " gauge\n")
    }

    /// One sample. `labels` is what ``labels(_:)`` made, without braces; may be empty.
    mutating func sample(_ name: StaticString, _ labels: [UInt8], _ value: Value) {
        text(name)
        if !labels.isEmpty {
            bytes.append(UInt8(ascii: "{"))
            bytes += labels
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: " "))
        switch value {
        case .integer(let value): integer(value)
        case .number(let value): number(value)
        }
        bytes.append(UInt8(ascii: "\n"))
    }

    private mutating func text(_ text: StaticString) {
        text.withUTF8Buffer { bytes += $0 }
    }

    private mutating func integer(_ value: UInt64) {
        // Longest: 20 digits. No string is made.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var rest = value
            var at = 20
            repeat {
                at -= 1
                digits[at] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            bytes += digits[at...]
        }
    }

    private mutating func number(_ value: Double) {
        guard value.isFinite else {
            bytes += (value.isNaN ? "NaN" : value > 0 ? "+Inf" : "-Inf").utf8
            return
        }
        // Above this, six digits after the point are more than a Double has.
        guard value.magnitude < 9e12 else {
            bytes += String(value).utf8
            return
        }
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        let millionths = UInt64((value.magnitude * 1_000_000).rounded())
        integer(millionths / 1_000_000)
        bytes.append(UInt8(ascii: "."))
        var scale: UInt64 = 100_000
        while scale > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(millionths / scale % 10))
            scale /= 10
        }
    }

    /// `a="b",c="d"` with the escapes of the format: backslash, quote and newline.
    static func labels(_ pairs: [(String, String)]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (name, value) in pairs {
            if !bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
            bytes += name.utf8
            bytes += "=\"".utf8
            for byte in value.utf8 {
                switch byte {
                case UInt8(ascii: "\\"): bytes += "\\\\".utf8
                case UInt8(ascii: "\""): bytes += "\\\"".utf8
                case UInt8(ascii: "\n"): bytes += "\\n".utf8
                default: bytes.append(byte)
                }
            }
            bytes.append(UInt8(ascii: "\""))
        }
        return bytes
    }
}

/// What a metric's value means.
enum MetricType {
    /// Only grows, but for restarts.
    case counter
    /// Goes up and down.
    case gauge
}
