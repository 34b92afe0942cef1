import Glibc

/// Reads the names in a directory of a file system that answers.
enum DirectoryReader {
    /// One name, with its type where the file system gives it.
    struct Name {
        /// The name, with its terminating NUL.
        let cString: [CChar]
        /// DT_DIR and so on; DT_UNKNOWN where the file system does not say (readdir(3)).
        let type: UInt8

        var bytes: [UInt8] { cString.dropLast().map { UInt8(bitPattern: $0) } }
    }

    /// The names, without `.` and `..`; empty when the directory cannot be read.
    static func names(in directory: BytePath) -> [[UInt8]] {
        let number = directory.withCString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard number >= 0 else { return [] }
        return entries(owning: number)?.map(\.bytes).sorted { $0.lexicographicallyPrecedes($1) } ?? []
    }

    /// The entries of an open directory, which is closed; nil when it cannot be read.
    static func entries(owning descriptor: Int32) -> [Name]? {
        guard let stream = fdopendir(descriptor) else {
            close(descriptor)
            return nil
        }
        defer { closedir(stream) }
        var result: [Name] = []
        forEach(in: stream) {
            result.append(Name(cString: Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1)), type: $1))
        }
        return result
    }

    /// Calls `body` with each name of an open directory stream, without `.` and `..`, and its type.
    static func forEach(in stream: OpaquePointer, _ body: (UnsafePointer<CChar>, UInt8) -> Void) {
        // The name follows the fixed fields in place; copying the imported tuple would cost 256 bytes a name.
        guard let offset = MemoryLayout<dirent>.offset(of: \dirent.d_name) else { return }
        while let entry = readdir(stream) {
            let name = UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self)
            if name[0] == 0x2e, name[1] == 0 || (name[1] == 0x2e && name[2] == 0) { continue }
            body(name, entry.pointee.d_type)
        }
    }
}
