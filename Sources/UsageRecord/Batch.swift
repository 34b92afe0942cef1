import FoundationEssentials
import LinuxKit

/// A CloudEvents batch: `application/cloudevents-batch+json`, a JSON array of events (CloudEvents HTTP binding 1.0.2).
public enum Batch {
    /// Media type of a batch.
    public static let contentType = "application/cloudevents-batch+json"
    /// The most events in one batch.
    public static let maximumEvents = 1000
    /// The largest batch body in bytes.
    public static let maximumBytes = 1 << 20

    /// Joins stored events without re-encoding them.
    public static func body(of events: some Sequence<[UInt8]>) -> [UInt8] {
        var body: [UInt8] = [UInt8(ascii: "[")]
        for (index, event) in events.enumerated() {
            if index > 0 { body.append(UInt8(ascii: ",")) }
            body += event
        }
        body.append(UInt8(ascii: "]"))
        return body
    }

    /// SHA-256 of bytes as 64 lower-case hexadecimal digits (FIPS 180-4).
    public static func digest(_ bytes: [UInt8]) -> String { SHA256.hexadecimal(bytes) }

    /// The exact bytes of each event of a batch, so that they can be hashed and stored as they were sent.
    ///
    /// Splits at the top level only; whether an element is an event is for ``CloudEvent/decode(_:)`` to say.
    /// - Throws: ``RecordError`` when the body is not one JSON array of objects, or over a limit.
    public static func split(_ body: [UInt8]) throws(RecordError) -> [ArraySlice<UInt8>] {
        guard body.count <= maximumBytes else { throw RecordError("the batch is larger than \(maximumBytes) bytes") }
        var scanner = Scanner(bytes: body)
        let elements = try scanner.array()
        guard elements.count <= maximumEvents else {
            throw RecordError("the batch has more than \(maximumEvents) events")
        }
        return elements
    }

    private struct Scanner {
        let bytes: [UInt8]
        var position = 0

        mutating func array() throws(RecordError) -> [ArraySlice<UInt8>] {
            var elements: [ArraySlice<UInt8>] = []
            skipSpace()
            guard take("[") else { throw RecordError("the batch is not a JSON array") }
            skipSpace()
            if !take("]") {
                repeat {
                    skipSpace()
                    elements.append(try object())
                    skipSpace()
                } while take(",")
                guard take("]") else { throw RecordError("the batch is not a JSON array of objects") }
            }
            skipSpace()
            guard position == bytes.count else { throw RecordError("something follows the batch") }
            return elements
        }

        // One object, balanced outside strings. Depth is a counter, so nesting cannot exhaust the stack.
        private mutating func object() throws(RecordError) -> ArraySlice<UInt8> {
            let start = position
            guard position < bytes.count, bytes[position] == UInt8(ascii: "{") else {
                throw RecordError("an element of the batch is not an object")
            }
            var depth = 0
            var inString = false
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                if inString {
                    if byte == UInt8(ascii: "\\") {
                        position += 1
                    } else if byte == UInt8(ascii: "\"") {
                        inString = false
                    }
                    continue
                }
                switch byte {
                case UInt8(ascii: "\""): inString = true
                case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
                case UInt8(ascii: "}"), UInt8(ascii: "]"):
                    depth -= 1
                    if depth == 0 { return bytes[start..<position] }
                default: break
                }
            }
            throw RecordError("the batch ends inside an event")
        }

        private mutating func skipSpace() {
            while position < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[position]) { position += 1 }
        }

        private mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }
    }
}

/// The control plane's answer to a batch.
///
/// Records are deleted only after an answer that parses, echoes the digest of the body that was sent, and covers them.
public struct Acknowledgement: Sendable, Equatable, Codable {
    /// What is durable of one epoch.
    public struct Durable: Sendable, Equatable, Codable {
        /// The epoch.
        public var epoch: String
        /// Every record of the epoch up to and including this one is durable or permanently rejected.
        public var throughSeq: UInt64

        /// Makes a durable mark.
        public init(epoch: String, throughSeq: UInt64) {
            self.epoch = epoch
            self.throughSeq = throughSeq
        }

        enum CodingKeys: String, CodingKey {
            case epoch
            case throughSeq = "through_seq"
        }
    }

    /// A record that was refused.
    public struct Rejection: Sendable, Equatable, Codable {
        /// The epoch.
        public var epoch: String
        /// The record.
        public var seq: UInt64
        /// Why, in a few words.
        public var reason: String

        /// Makes a rejection.
        public init(epoch: String, seq: UInt64, reason: String) {
            self.epoch = epoch
            self.seq = seq
            self.reason = reason
        }
    }

    /// SHA-256 of the uncompressed body, 64 lower-case hexadecimal digits.
    public var sha256: String
    /// High-water marks.
    public var durable: [Durable]
    /// Refused records; sending them again will not help.
    public var rejected: [Rejection]

    /// Makes an answer.
    public init(sha256: String, durable: [Durable], rejected: [Rejection] = []) {
        self.sha256 = sha256
        self.durable = durable
        self.rejected = rejected
    }

    /// The largest answer that is read, in bytes.
    public static let maximumBytes = 64 << 10

    /// Reads an answer; nil for anything that is not one (a proxy's page, an empty body).
    public static func parse(_ body: [UInt8]) -> Acknowledgement? {
        guard body.count <= maximumBytes else { return nil }
        return try? JSONDecoder().decode(Acknowledgement.self, from: Data(body))
    }
}
