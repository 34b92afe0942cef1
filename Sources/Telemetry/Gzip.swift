/// Compresses for `Content-Encoding: gzip` (RFC 1952): one block with the fixed codes of DEFLATE (RFC 1951, 3.2.6).
///
/// The names and attributes of metrics repeat so often that the fixed codes are enough, and a compression library in the
/// agent is not.
public enum Gzip {
    /// A gzip member that holds `input`.
    public static func compress(_ input: [UInt8]) -> [UInt8] {
        // Magic, DEFLATE, no flags, no time, no extra flags, Unix.
        var output: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]
        output.reserveCapacity(input.count / 4 + 64)
        deflate(input, &output)
        for word in [crc32(input), UInt32(truncatingIfNeeded: input.count)] {
            for shift in stride(from: UInt32(0), to: 32, by: 8) {
                output.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        return output
    }

    private struct BitWriter {
        private var bits: UInt64 = 0
        private var count: UInt64 = 0

        /// Least significant bit first.
        mutating func write(_ value: UInt32, _ length: UInt64, _ output: inout [UInt8]) {
            bits |= UInt64(value) << count
            count += length
            while count >= 8 {
                output.append(UInt8(truncatingIfNeeded: bits))
                bits >>= 8
                count -= 8
            }
        }

        /// Huffman codes are packed from their most significant bit.
        mutating func code(_ value: UInt32, _ length: UInt64, _ output: inout [UInt8]) {
            var (rest, reversed) = (value, UInt32(0))
            for _ in 0..<length {
                reversed = reversed << 1 | rest & 1
                rest >>= 1
            }
            write(reversed, length, &output)
        }

        mutating func finish(_ output: inout [UInt8]) {
            if count > 0 { output.append(UInt8(truncatingIfNeeded: bits)) }
        }
    }

    private static let window = 32_768
    private static let shortest = 3
    private static let longest = 258
    /// How many earlier places with the same three bytes are looked at.
    private static let tries = 16

    private static func deflate(_ input: [UInt8], _ output: inout [UInt8]) {
        var writer = BitWriter()
        // The last block, with fixed codes.
        writer.write(0b011, 3, &output)
        var newest = [Int32](repeating: -1, count: 1 << 13)
        // The place before with the same hash, by place modulo the window.
        var before = [Int32](repeating: -1, count: window)
        func hash(_ at: Int) -> Int {
            let three = UInt32(input[at]) | UInt32(input[at + 1]) << 8 | UInt32(input[at + 2]) << 16
            return Int((three &* 0x9E37_79B1) >> 19)
        }
        func remember(_ at: Int) {
            guard at + shortest <= input.count else { return }
            let key = hash(at)
            before[at % window] = newest[key]
            newest[key] = Int32(at)
        }
        var at = 0
        while at < input.count {
            var (best, distance) = (0, 0)
            if at + shortest <= input.count {
                let most = min(longest, input.count - at)
                var candidate = Int(newest[hash(at)])
                var left = tries
                while candidate >= 0, at - candidate < window, left > 0, best < most {
                    var length = 0
                    while length < most, input[candidate + length] == input[at + length] { length += 1 }
                    if length > best { (best, distance) = (length, at - candidate) }
                    candidate = Int(before[candidate % window])
                    left -= 1
                }
            }
            if best >= shortest {
                writeLength(best, &writer, &output)
                writeDistance(distance, &writer, &output)
            } else {
                best = 1
                literal(UInt32(input[at]), &writer, &output)
            }
            for place in at..<at + best { remember(place) }
            at += best
        }
        literal(256, &writer, &output)
        writer.finish(&output)
    }

    /// Literals, the end (256) and the symbols of lengths: the fixed code.
    private static func literal(_ symbol: UInt32, _ writer: inout BitWriter, _ output: inout [UInt8]) {
        switch symbol {
        case ..<144: writer.code(0x30 + symbol, 8, &output)
        case ..<256: writer.code(0x190 + symbol - 144, 9, &output)
        case ..<280: writer.code(symbol - 256, 7, &output)
        default: writer.code(0xC0 + symbol - 280, 8, &output)
        }
    }

    private static func writeLength(_ length: Int, _ writer: inout BitWriter, _ output: inout [UInt8]) {
        if length == longest { return literal(285, &writer, &output) }
        // Groups of four symbols; each group has one more extra bit than the one before.
        let value = length - shortest
        let extra = value < 8 ? 0 : Int.bitWidth - value.leadingZeroBitCount - 3
        let symbol = value < 8 ? 257 + value : 257 + 4 * extra + value >> extra
        literal(UInt32(symbol), &writer, &output)
        writer.write(UInt32(value & ((1 << extra) - 1)), UInt64(extra), &output)
    }

    private static func writeDistance(_ distance: Int, _ writer: inout BitWriter, _ output: inout [UInt8]) {
        // Groups of two symbols.
        let value = distance - 1
        let extra = value < 4 ? 0 : Int.bitWidth - value.leadingZeroBitCount - 2
        let symbol = value < 4 ? value : 2 * extra + value >> extra
        writer.code(UInt32(symbol), 5, &output)
        writer.write(UInt32(value & ((1 << extra) - 1)), UInt64(extra), &output)
    }

    private static let table: [UInt32] = (0..<256).map { start in
        (0..<8).reduce(UInt32(start)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1 }
    }

    private static func crc32(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
    }
}
