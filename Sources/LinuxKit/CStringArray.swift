import Glibc

/// Arguments and environments as the kernel takes them: C strings of any bytes, behind the last a null pointer.
public enum CStringArray {
    /// Calls `body` with such an array, which is valid during the call; a NUL in an entry ends it early.
    public static func with<R>(
        _ entries: [[UInt8]], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
    ) -> R {
        let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: entries.count + 1)
        pointers.initialize(repeating: nil, count: entries.count + 1)
        for (index, entry) in entries.enumerated() {
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: entry.count + 1)
            for (offset, byte) in entry.enumerated() { copy[offset] = CChar(bitPattern: byte) }
            copy[entry.count] = 0
            pointers[index] = copy
        }
        defer {
            for index in entries.indices { pointers[index]?.deallocate() }
            pointers.deallocate()
        }
        return body(pointers)
    }

    /// The bytes of a C string without its NUL.
    public static func bytes(of string: UnsafePointer<CChar>) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: string, count: strlen(string)))
    }
}
