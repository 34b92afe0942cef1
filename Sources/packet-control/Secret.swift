import ControlPlaneAPI
import Glibc
import UsageRecord

/// A bearer token: `packet_KIND_ID_RANDOM`. The ID finds the entry; only a hash of the whole text is stored.
struct Secret: Sendable, Equatable {
    enum Kind: String, Sendable { case team, pod }

    /// The text that a client sends. Never logged.
    let text: String
    let kind: Kind
    let id: String

    /// What is stored: 256 random bits need no salt and no slow hash.
    var sha256: String { Batch.digest(Array(text.utf8)) }

    /// A new token with 256 random bits from getrandom(2).
    static func make(_ kind: Kind) -> Secret {
        let id = Self.hexadecimal(8)
        return Secret(text: "packet_\(kind.rawValue)_\(id)_\(hexadecimal(32))", kind: kind, id: id)
    }

    private init(text: String, kind: Kind, id: String) {
        self.text = text
        self.kind = kind
        self.id = id
    }

    /// Reads what a client sent; nil when it is not a token of ours.
    init?(_ text: String) {
        guard text.utf8.count <= 128 else { return nil }
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "packet", let kind = Kind(rawValue: String(parts[1])),
            parts[2].utf8.count == 16, parts[3].utf8.count == 64
        else { return nil }
        self.init(text: text, kind: kind, id: String(parts[2]))
    }

    /// Whether this is the token with that hash; takes the same time wherever they differ.
    func matches(sha256 stored: String) -> Bool {
        let left = Array(sha256.utf8)
        let right = Array(stored.utf8)
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }

    /// Random bytes in hexadecimal digits. The system generator reads getrandom(2).
    static func hexadecimal(_ count: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: (0..<count * 2).map { _ in digits[Int.random(in: 0..<16, using: &generator)] }, as: UTF8.self)
    }

    /// A random UUID (RFC 9562, version 4).
    static func uuid() -> String {
        var text = Array(hexadecimal(16).utf8)
        text[12] = UInt8(ascii: "4")
        text[16] = Array("89ab".utf8)[Int.random(in: 0..<4)]
        for position in [20, 16, 12, 8] { text.insert(UInt8(ascii: "-"), at: position) }
        return String(decoding: text, as: UTF8.self)
    }
}

extension Timestamp {
    /// CLOCK_REALTIME.
    static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}
