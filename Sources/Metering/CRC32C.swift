/// CRC-32C (Castagnoli, RFC 3720 appendix B.4): reflected polynomial 0x82F63B78, initial value and final XOR all ones.
enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { index in
        var value = UInt32(index)
        for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ 0x82f6_3b78 : value >> 1 }
        return value
    }

    /// The checksum of two pieces, one after the other.
    static func checksum(_ first: ArraySlice<UInt8>, _ second: ArraySlice<UInt8> = []) -> UInt32 {
        ~update(update(.max, first), second)
    }

    private static func update(_ value: UInt32, _ bytes: ArraySlice<UInt8>) -> UInt32 {
        table.withUnsafeBufferPointer { table in
            bytes.withUnsafeBufferPointer { bytes in
                var value = value
                var index = 0
                while index < bytes.count {
                    value = (value >> 8) ^ table[Int((value ^ UInt32(bytes[index])) & 0xff)]
                    index += 1
                }
                return value
            }
        }
    }
}
