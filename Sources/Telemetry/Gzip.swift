import CZlib

/// Compresses for `Content-Encoding: gzip` (RFC 1952), by zlib.
public enum Gzip {
    /// A gzip member that holds `input`; nil when there is no memory for it.
    public static func compress(_ input: [UInt8]) -> [UInt8]? {
        let output = [UInt8](unsafeUninitializedCapacity: czlib_gzip_bound(input.count)) { buffer, count in
            count = input.withUnsafeBufferPointer {
                czlib_gzip($0.baseAddress, $0.count, buffer.baseAddress, buffer.count)
            }
        }
        return output.isEmpty ? nil : output
    }
}
