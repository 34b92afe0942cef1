/// A site's statement about mounts: one text of `storage.rules`.
///
/// The form is that of a line of fstab(5), `MOUNTPOINT TYPES LIFETIME REASON`, for example
/// `/mnt/* virtiofs|9p volume the site's NFS, shared by the host of the virtual machine`.
public struct StorageRule: Sendable, Equatable {
    /// The bytes of the mount point. `*` stands for any one name, `**` as the last name for everything below.
    public let mountPoint: [UInt8]
    /// File system types for which the rule holds; empty for all.
    public let filesystems: [String]
    /// One of ``lifetimes``.
    public let lifetime: String
    /// One clause for a person: why.
    public let reason: String

    /// The lifetimes that a rule may give, as `packet-agent storage` names them.
    public static let lifetimes = ["container", "pod", "node", "volume", "image", "kernel", "unknown"]

    /// Why a text is no rule; the sentence continues "storage.rules ...".
    public struct Refusal: Error, Sendable, Equatable {
        /// What must be different.
        public let reason: String
    }

    /// Reads a rule: fields separated by spaces, the reason is the rest of the line and may be left out.
    ///
    /// - Parameter text: a space in the mount point is written `\040`, a tab `\011`, a newline `\012` and a backslash
    ///   `\134`, as in fstab(5). Several types are separated by `|`; `*` stands for all.
    /// - Throws: ``Refusal`` when a field is missing or not allowed.
    public init(_ text: String) throws(Refusal) {
        let fields = text.split(separator: " ", maxSplits: 3).map(String.init)
        guard fields.count >= 3 else {
            throw Refusal(reason: "must have the form \"MOUNTPOINT TYPES LIFETIME REASON\", not \"\(text)\"")
        }
        guard fields[0].hasPrefix("/") else {
            throw Refusal(reason: "must begin with an absolute mount point, not \"\(fields[0])\"")
        }
        guard !text.utf8.contains(0) else { throw Refusal(reason: "must not hold a NUL, which no path can") }
        guard Self.lifetimes.contains(fields[2]) else {
            throw Refusal(
                reason:
                    "must give one of \(Self.lifetimes.joined(separator: ", ")) as the third word, not \"\(fields[2])\""
            )
        }
        mountPoint = try Self.decode(Array(fields[0].utf8))
        filesystems = fields[1] == "*" ? [] : fields[1].split(separator: "|").map(String.init)
        lifetime = fields[2]
        let reason = fields.count > 3 ? fields[3].drop { $0 == " " } : ""
        self.reason = reason.isEmpty ? "said by the configuration (storage.rules)" : String(reason)
    }

    private static func decode(_ bytes: [UInt8]) throws(Refusal) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "\\") else {
                result.append(bytes[index])
                index += 1
                continue
            }
            let digits = String(decoding: bytes[(index + 1)...].prefix(3), as: UTF8.self)
            guard digits.utf8.count == 3, let byte = UInt8(digits, radix: 8), byte != 0 else {
                throw Refusal(reason: "must write a backslash as \\134 and a space as \\040 in the mount point")
            }
            result.append(byte)
            index += 4
        }
        return result
    }
}
