import Glibc
import Storage

/// Reads the names in a local directory.
enum DirectoryNames {
    /// The names, without `.` and `..`, in no order; empty when the directory cannot be read.
    static func read(_ directory: BytePath) -> [[UInt8]] {
        guard let stream = directory.withCString({ opendir($0) }) else { return [] }
        defer { closedir(stream) }
        guard let offset = MemoryLayout<dirent>.offset(of: \dirent.d_name) else { return [] }
        var result: [[UInt8]] = []
        while let entry = readdir(stream) {
            // The name follows the fixed fields in place.
            let name = UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self)
            let bytes = Array(UnsafeRawBufferPointer(start: name, count: strlen(name)))
            if bytes != [0x2e], bytes != [0x2e, 0x2e] { result.append(bytes) }
        }
        return result
    }
}
