import Glibc

/// A file with a secret: read for every use, so that a replaced one is used at once, and only when nobody but its owner may
/// read it.
public enum SecretFile {
    /// Why the file cannot be used; names the file, never its contents.
    public struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
        /// What happened and what to do.
        public let description: String

        /// Says what happened.
        public init(_ description: String) { self.description = description }
    }

    /// The contents, at most 64 KiB; bytes that are not UTF-8 are repaired.
    ///
    /// - Throws: ``Failure`` when it cannot be read, or group or others have any permission on it.
    public static func read(_ path: String) throws(Failure) -> String {
        do throws(LinuxError) {
            let file = try Descriptor(opening: path, O_RDONLY)
            guard try FileStatus(descriptor: file.number).permissions & 0o077 == 0 else {
                throw LinuxError("use", path, code: EACCES)
            }
            return String(decoding: try file.readToEnd(limit: 64 << 10), as: UTF8.self)
        } catch {
            let advice = error.code == EACCES ? "; it must be readable by its owner only: chmod 600" : ""
            throw Failure("\(error)\(advice)")
        }
    }
}
