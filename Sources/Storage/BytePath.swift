import FoundationEssentials
import LinuxKit

/// A path as Linux sees it: bytes without NUL, in no particular encoding.
///
/// Swift's `String` repairs bytes that are not UTF-8, after which the file can no longer be opened, so paths that come
/// from the kernel or a directory stay in this type until they are shown.
public struct BytePath: Sendable, Hashable, Comparable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The bytes, as the kernel gave them.
    public let bytes: [UInt8]

    /// Takes bytes.
    public init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    /// Takes text, encoded as UTF-8.
    public init(_ text: String) { bytes = Array(text.utf8) }

    /// Takes text, encoded as UTF-8.
    public init(stringLiteral value: String) { self.init(value) }

    /// The root directory.
    public static let root: BytePath = "/"

    static let slash = UInt8(ascii: "/")

    /// True when the path starts at the root directory.
    public var isAbsolute: Bool { bytes.first == Self.slash }

    /// The names between slashes; repeated slashes count once.
    public var components: [ArraySlice<UInt8>] { bytes.split(separator: Self.slash) }

    /// The names between slashes as text; bytes that are not UTF-8 are repaired, so use it only to compare known names.
    public var names: [String] { components.map { String(decoding: $0, as: UTF8.self) } }

    /// The last name; empty for the root directory.
    public var lastComponent: BytePath { BytePath(bytes: components.last ?? []) }

    /// The path without its last name; the root directory is its own parent.
    public var parent: BytePath {
        guard let slash = bytes.lastIndex(of: Self.slash) else { return "." }
        return slash == 0 ? .root : BytePath(bytes: bytes[..<slash])
    }

    /// The path of `name` in this directory.
    public func appending(_ name: some Sequence<UInt8>) -> BytePath {
        var result = bytes
        result.reserveCapacity(bytes.count + 32)
        if result.last != Self.slash { result.append(Self.slash) }
        result.append(contentsOf: name)
        return BytePath(bytes: result)
    }

    /// The path of `name` in this directory.
    public func appending(_ name: String) -> BytePath { appending(name.utf8) }

    /// True when this path is `directory` or lies below it, compared name by name; both without `.`, `..` and
    /// repeated slashes.
    public func isWithin(_ directory: BytePath) -> Bool {
        if directory == .root { return isAbsolute }
        guard bytes.count >= directory.bytes.count, bytes.starts(with: directory.bytes) else { return false }
        return bytes.count == directory.bytes.count || bytes[directory.bytes.count] == Self.slash
    }

    /// An absolute path without `.`, repeated and trailing slashes; `..` removes the name before it, whatever the disk says.
    public var normalized: BytePath {
        var kept: [ArraySlice<UInt8>] = []
        for component in components {
            if component.elementsEqual(".".utf8) { continue }
            if component.elementsEqual("..".utf8) { _ = kept.popLast() } else { kept.append(component) }
        }
        return BytePath(bytes: [Self.slash] + kept.joined(separator: [Self.slash]))
    }

    /// Safe for a terminal, a log or the journal: controls and bytes that are not UTF-8 are escaped.
    public var description: String { TerminalText.escape(bytes: bytes) }

    /// The exact text; nil when the bytes are not UTF-8.
    public var text: String? { String(validating: bytes, as: UTF8.self) }

    /// What a JSON field shows: the exact text, or the escaped bytes when they are not UTF-8.
    public var jsonText: String { text ?? description }

    /// What the JSON field `..._b64` holds: the exact bytes in base64, only when they are not UTF-8.
    public var jsonBase64: String? { text == nil ? Data(bytes).base64EncodedString() : nil }

    /// Calls `body` with the bytes as a C string.
    public func withCString<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        let terminated = bytes + [0]
        return terminated.withUnsafeBufferPointer { buffer in
            buffer.withMemoryRebound(to: CChar.self) { characters in
                // The buffer holds at least the terminating NUL, so it has a base address.
                withUnsafePointer(to: CChar(0)) { empty in body(characters.baseAddress ?? empty) }
            }
        }
    }

    /// Order by bytes.
    public static func < (left: BytePath, right: BytePath) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}
