import CLinux
import Glibc
import LinuxKit
import Storage

/// A name in a directory as the kernel takes it: any bytes, ended by a NUL.
typealias FileName = [CChar]

extension [CChar] {
    /// The bytes without the NUL.
    var bytes: [UInt8] { dropLast().map { UInt8(bitPattern: $0) } }

    init(name bytes: some Sequence<UInt8>) { self = bytes.map { CChar(bitPattern: $0) } + [0] }

    init(name path: BytePath) { self.init(name: path.bytes) }
}

extension BytePath {
    func appending(_ name: FileName) -> BytePath { appending(name.bytes) }
}

/// A descriptor that several threads use.
final class OpenFile: Sendable {
    let descriptor: Descriptor
    var number: Int32 { descriptor.number }

    init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
}

/// Opens files and directories below a directory, whatever the length of the way, and never through a symbolic link that
/// somebody put in place of a directory meanwhile.
enum Opening {
    // linux/openat2.h: RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS and RESOLVE_BENEATH.
    private static let resolve: UInt64 = 0x02 | 0x04 | 0x08
    /// The kernel refuses paths of 4,096 bytes and more (PATH_MAX); names have at most 255.
    private static let limit = 3800

    /// Opens the directory at the end of a chain of names.
    static func directory(
        _ base: Int32, _ chain: [FileName], path: @autoclosure () -> BytePath, flags: Int32 = clinux_o_path
    )
        throws(TransferError) -> Descriptor
    {
        var current: Descriptor?
        var rest = chain[...]
        repeat {
            var piece: [CChar] = []
            while let next = rest.first, piece.count + next.count < limit {
                if !piece.isEmpty { piece[piece.count - 1] = 0x2f }
                piece += next
                rest = rest.dropFirst()
            }
            if piece.isEmpty { piece = [0x2e, 0] }
            let flags = (rest.isEmpty ? flags : clinux_o_path) | O_DIRECTORY | O_NOFOLLOW
            let start = current?.number ?? base
            var result = clinux_openat2(start, piece, UInt64(UInt32(bitPattern: flags)), 0, resolve)
            // Some sandboxes hide openat2(2); they are no worse off than every program before Linux 5.6.
            if result == -ENOSYS || result == -EPERM { result = clinux_openat(start, piece, flags, 0) }
            guard result >= 0 else { throw .system("open", path(), -result) }
            current = Descriptor(owning: result)
        } while !rest.isEmpty
        guard let current else { throw .system("open", path(), ENOENT) }
        return current
    }

    /// Opens the directory with an absolute path, symbolic links followed.
    static func directory(_ path: BytePath, flags: Int32 = O_RDONLY) throws(TransferError) -> Descriptor {
        let result = path.withCString { clinux_open($0, flags | O_DIRECTORY, 0) }
        guard result >= 0 else { throw .system("open", path, -result) }
        return Descriptor(owning: result)
    }

    /// Opens or creates a name in a directory; a symbolic link is not followed.
    static func file(
        _ directory: Int32, _ name: FileName, _ flags: Int32, mode: UInt32 = 0, path: @autoclosure () -> BytePath
    )
        throws(TransferError) -> Descriptor
    {
        let result = clinux_openat(directory, name, flags | O_NOFOLLOW, mode)
        guard result >= 0 else { throw .system(flags & O_CREAT != 0 ? "create" : "open", path(), -result) }
        return Descriptor(owning: result)
    }

    /// The target of a symbolic link; nil when the name is none.
    static func linkTarget(_ directory: Int32, _ name: FileName) -> [UInt8]? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlinkat(directory, name, &buffer, buffer.count)
        return count >= 0 ? buffer[0..<count].map { UInt8(bitPattern: $0) } : nil
    }

    /// The names in an open directory, sorted, without `.` and `..`.
    static func names(_ directory: Int32, path: BytePath) throws(TransferError) -> [FileName] {
        let copy = clinux_openat(directory, ".", O_RDONLY | O_DIRECTORY, 0)
        guard copy >= 0, let stream = fdopendir(copy) else { throw .system("open", path, copy < 0 ? -copy : errno) }
        defer { closedir(stream) }
        guard let offset = MemoryLayout<dirent>.offset(of: \dirent.d_name) else { return [] }
        var result: [FileName] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else { break }
            let name = UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self)
            if name[0] == 0x2e, name[1] == 0 || (name[1] == 0x2e && name[2] == 0) { continue }
            result.append(Array(UnsafeBufferPointer(start: name, count: strlen(name) + 1)))
        }
        // A directory that was read in part only would be copied in part only.
        guard errno == 0 else { throw .system("read", path, errno) }
        return result.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
    }
}
