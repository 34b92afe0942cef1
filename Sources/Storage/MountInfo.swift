/// A line of mountinfo that could not be read.
public struct MountInfoError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong with a line.
    public enum Reason: String, Sendable {
        /// Fewer than the six leading fields.
        case tooFewFields = "has fewer than six fields before the separator"
        /// The mount id or the parent's id is not a number.
        case badIdentifier = "has a mount id that is not a number"
        /// The device is not `major:minor`.
        case badDevice = "has a device that is not major:minor"
        /// The mount point does not start at the root directory.
        case badMountPoint = "has a mount point that is not an absolute path"
        /// No lone `-` follows the optional fields.
        case noSeparator = "has no separator \"-\" after the optional fields"
        /// No file system type follows the separator.
        case noFilesystem = "has no file system type"
    }

    /// 1 for the first line.
    public let line: Int
    /// What is wrong.
    public let reason: Reason

    /// One sentence.
    public var description: String { "mountinfo line \(line) \(reason.rawValue)" }
}

/// The contents of /proc/self/mountinfo: the mounts that could be read, and an error for each line that could not.
///
/// The grammar is proc_pid_mountinfo(5); where it is silent, fs/proc_namespace.c of Linux decides: fields are split at
/// single spaces, because an empty source leaves two; the separator is the first lone `-` after the sixth field,
/// because spaces inside fields are escaped; `\` and three octal digits stand for a byte, decoded once.
public struct MountInfo: Sendable, Equatable {
    /// The mounts, in the order of the file.
    public let mounts: [Mount]
    /// The lines that were left out.
    public let errors: [MountInfoError]

    /// Reads the bytes of a mountinfo file. Never fails as a whole.
    public init(parsing contents: [UInt8]) {
        var mounts: [Mount] = []
        // Lines are rarely shorter than this; growing by copying would cost more than the memory.
        mounts.reserveCapacity(contents.count / 64)
        var errors: [MountInfoError] = []
        contents.withUnsafeBufferPointer { buffer in
            var start = 0
            var number = 0
            while start < buffer.count {
                let end = buffer[start...].firstIndex(of: UInt8(ascii: "\n")) ?? buffer.count
                number += 1
                do throws(Failure) {
                    mounts.append(
                        try Self.parse(UnsafeBufferPointer(rebasing: buffer[start..<end]), after: mounts.last))
                } catch {
                    errors.append(MountInfoError(line: number, reason: error.reason))
                }
                start = end + 1
            }
        }
        self.mounts = mounts
        self.errors = errors
    }

    private struct Failure: Error {
        let reason: MountInfoError.Reason
        init(_ reason: MountInfoError.Reason) { self.reason = reason }
    }

    private typealias Field = Slice<UnsafeBufferPointer<UInt8>>

    /// Reads a line. Fields that are equal to those of the `previous` mount share its memory: on a node with thousands of
    /// mounts nearly all have the same options.
    private static func parse(
        _ line: UnsafeBufferPointer<UInt8>, after previous: Mount?
    ) throws(Failure) -> Mount {
        var rest = line[...]
        func next() -> Field? {
            guard rest.startIndex <= line.count else { return nil }
            let end = rest.firstIndex(of: UInt8(ascii: " ")) ?? line.count
            let field = line[rest.startIndex..<end]
            // Past the end once the last field is taken, so that a trailing space still yields an empty field.
            rest = end < line.count ? line[(end + 1)...] : Slice(base: line, bounds: line.count..<line.count)
            finished = end == line.count
            return field
        }
        var finished = false
        func required() throws(Failure) -> Field {
            guard !finished, let field = next() else { throw Failure(.tooFewFields) }
            return field
        }
        let identifier = try required()
        let parentField = try required()
        let deviceField = try required()
        let root = try required()
        let mountPoint = try required()
        let options = try required()
        guard let id: UInt64 = number(identifier), let parent: UInt64 = number(parentField) else {
            throw Failure(.badIdentifier)
        }
        guard let device = device(deviceField) else { throw Failure(.badDevice) }
        guard mountPoint.first == BytePath.slash else { throw Failure(.badMountPoint) }
        var tags: [[UInt8]] = []
        while true {
            guard !finished, let tag = next() else { throw Failure(.noSeparator) }
            if tag.count == 1, tag.first == UInt8(ascii: "-") { break }
            tags.append(Array(tag))
        }
        guard !finished, let filesystem = next(), !filesystem.isEmpty else { throw Failure(.noFilesystem) }
        let source = finished ? nil : next()
        let superOptions = finished ? [] : shared(rest, previous?.superOptions)
        let type: String =
            if let known = previous?.filesystem, known.utf8.elementsEqual(filesystem) {
                known
            } else { String(decoding: decode(filesystem), as: UTF8.self) }
        return Mount(
            id: id, parent: parent, device: device, root: path(root, previous?.root),
            mountPoint: BytePath(bytes: decode(mountPoint)), options: shared(options, previous?.options), tags: tags,
            filesystem: type, source: source.map { path($0, previous?.source) } ?? BytePath(bytes: []),
            superOptions: superOptions)
    }

    private static func shared(_ field: Field, _ previous: [UInt8]?) -> [UInt8] {
        if let previous, previous.elementsEqual(field) { return previous }
        return Array(field)
    }

    private static func path(_ field: Field, _ previous: BytePath?) -> BytePath {
        // What contains an escape is decoded, so equal bytes without one are equal paths.
        if let previous, previous.bytes.elementsEqual(field), !field.contains(UInt8(ascii: "\\")) { return previous }
        return BytePath(bytes: decode(field))
    }

    private static func number<Number: FixedWidthInteger>(_ field: Field) -> Number? {
        guard !field.isEmpty else { return nil }
        var value: Number = 0
        for byte in field {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (product, tooBig) = value.multipliedReportingOverflow(by: 10)
            let (sum, stillTooBig) = product.addingReportingOverflow(Number(byte - UInt8(ascii: "0")))
            if tooBig || stillTooBig { return nil }
            value = sum
        }
        return value
    }

    private static func device(_ field: Field) -> Mount.Device? {
        guard let colon = field.firstIndex(of: UInt8(ascii: ":")),
            let major: UInt32 = number(field[..<colon]), let minor: UInt32 = number(field[(colon + 1)...])
        else { return nil }
        return Mount.Device(major: major, minor: minor)
    }

    private static func decode(_ field: Field) -> [UInt8] {
        guard field.contains(UInt8(ascii: "\\")) else { return Array(field) }
        var result: [UInt8] = []
        result.reserveCapacity(field.count)
        var index = field.startIndex
        while index < field.endIndex {
            let byte = field[index]
            if byte == UInt8(ascii: "\\"), index + 3 < field.endIndex,
                let value = octal(field[(index + 1)...(index + 3)])
            {
                result.append(value)
                index += 4
            } else {
                result.append(byte)
                index += 1
            }
        }
        return result
    }

    private static func octal(_ digits: Field) -> UInt8? {
        var value = 0
        for digit in digits {
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "7") else { return nil }
            value = value * 8 + Int(digit - UInt8(ascii: "0"))
        }
        return UInt8(exactly: value)
    }
}

extension Mount {
    /// The line that the kernel writes for this mount, without the newline.
    public var line: [UInt8] {
        var fields: [[UInt8]] = [
            Array("\(id)".utf8), Array("\(parent)".utf8), Array("\(device.major):\(device.minor)".utf8),
            Self.encode(root.bytes), Self.encode(mountPoint.bytes), options,
        ]
        fields += tags
        fields += [
            Array("-".utf8), Self.encode(Array(filesystem.utf8), hash: true), Self.encode(source.bytes, hash: true),
            superOptions,
        ]
        return Array(fields.joined(separator: [UInt8(ascii: " ")]))
    }

    /// Writes space, tab, newline and backslash in octal; `#` only in the type and the source, as `mangle()` does.
    private static func encode(_ bytes: [UInt8], hash: Bool = false) -> [UInt8] {
        var result: [UInt8] = []
        for byte in bytes {
            switch byte {
            case 0x20, 0x09, 0x0a, 0x5c: result += Array(octal(byte).utf8)
            case 0x23 where hash: result += Array(octal(byte).utf8)
            default: result.append(byte)
            }
        }
        return result
    }

    private static func octal(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 8)
        return "\\" + String(repeating: "0", count: 3 - digits.count) + digits
    }
}
