import CLinux
import Glibc

/// The extended attributes of a file (xattr(7)): access control lists, capabilities, labels and the user's own.
public enum ExtendedAttributes {
    /// Every attribute by name; empty where the file system has none.
    public static func read(descriptor: Int32) throws(LinuxError) -> [String: [UInt8]] {
        var attributes: [String: [UInt8]] = [:]
        for name in try names(descriptor) {
            // Another process may have removed or grown it meanwhile: what cannot be had in 64 KiB (the kernel's limit) is gone.
            var value = [UInt8](repeating: 0, count: 65536)
            let count = fgetxattr(descriptor, name, &value, value.count)
            if count >= 0 { attributes[name] = Array(value[0..<count]) }
        }
        return attributes
    }

    /// Gives a file these attributes besides those that it has.
    ///
    /// Labels that the kernel sets by itself (`security.*`, `trusted.*`) may be refused; the user's own and access control
    /// lists may not.
    public static func add(_ attributes: [String: [UInt8]], descriptor: Int32) throws(LinuxError) {
        let existing = try read(descriptor: descriptor)
        for (name, value) in attributes.sorted(by: { $0.key < $1.key }) where existing[name] != value {
            guard fsetxattr(descriptor, name, value, value.count, 0) != 0 else { continue }
            if name.hasPrefix("security.") || name.hasPrefix("trusted.") { continue }
            throw LinuxError("set the attribute \(name) of", "descriptor \(descriptor)", code: errno)
        }
    }

    private static func names(_ descriptor: Int32) throws(LinuxError) -> [String] {
        var buffer = [CChar](repeating: 0, count: 65536)
        let count = flistxattr(descriptor, &buffer, buffer.count)
        guard count >= 0 else {
            if errno == ENOTSUP { return [] }
            throw LinuxError("list attributes of", "descriptor \(descriptor)", code: errno)
        }
        return buffer[0..<count].split(separator: 0).map {
            String(decoding: $0.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }
}
