import Glibc

/// The variables that the command gets besides the container's: `NAME=VALUE` entries, each ended by NUL as in environ(7),
/// and an empty entry at the end, so that an answer that was cut is not taken for a whole one.
///
/// Values are bytes: what is not UTF-8 stays as it is.
public struct EnvironmentAnswer: Sendable, Equatable {
    /// `NAME=VALUE`, without NUL.
    public let entries: [[UInt8]]

    /// An answer is refused beyond so many bytes: execve(2) takes no more than 128 KiB in one string.
    public static let limit = 1 << 20

    /// Entries to set; the names are those of shell variables.
    public init(entries: [[UInt8]]) { self.entries = entries }

    /// Reads what ``bytes`` wrote; nil when it is anything else. One bad entry refuses all.
    public init?(parsing bytes: [UInt8]) {
        guard bytes.count <= Self.limit, bytes.last == 0 else { return nil }
        var entries = bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false).map(Array.init)
        guard entries.popLast() == [], entries.allSatisfy({ Self.name(of: $0) != nil }) else { return nil }
        self.entries = entries
    }

    /// The bytes that ``init(parsing:)`` reads.
    public var bytes: [UInt8] { entries.flatMap { $0 + [0] } + [0] }

    /// What must be set to make `after` of `before`. Nothing is ever taken away.
    public init(from before: [[UInt8]], to after: [[UInt8]]) {
        let known = Set(before)
        entries = after.filter { !known.contains($0) && Self.name(of: $0) != nil }
    }

    /// The environment with the entries: the first entry of a name is replaced, as getenv(3) finds that one.
    public func merged(into environment: [[UInt8]]) -> [[UInt8]] {
        var result = environment
        for entry in entries {
            guard let name = Self.name(of: entry) else { continue }
            if let index = result.firstIndex(where: { $0.starts(with: name) && $0.dropFirst(name.count).first == 0x3d })
            {
                result[index] = entry
            } else {
                result.append(entry)
            }
        }
        return result
    }

    private static func name(of entry: [UInt8]) -> ArraySlice<UInt8>? {
        guard let end = entry.firstIndex(of: UInt8(ascii: "=")), let first = entry.first else { return nil }
        let name = entry[..<end]
        let isDigit = { (byte: UInt8) in (0x30...0x39).contains(byte) }
        let isLetter = { (byte: UInt8) in (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == 0x5f }
        return !isDigit(first) && !name.isEmpty && name.allSatisfy { isLetter($0) || isDigit($0) } ? name : nil
    }
}
