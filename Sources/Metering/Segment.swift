public import UsageRecord

/// A record as it lies in the spool: its identity beside the exact bytes that are sent.
public struct StoredRecord: Sendable, Equatable {
    /// The agent start that made it.
    public var epoch: UsageRecord.Epoch
    /// Its number in the epoch.
    public var seq: UInt64
    /// The CloudEvent's bytes.
    public var bytes: [UInt8]

    /// Makes a stored record.
    public init(epoch: UsageRecord.Epoch, seq: UInt64, bytes: [UInt8]) {
        self.epoch = epoch
        self.seq = seq
        self.bytes = bytes
    }
}

/// The bytes of a segment file, version 1. All numbers are little-endian.
///
///     header:  "PKTSPOOL", version u32, 0 u32
///     frame:   "PK", kind u8, 0 u8, payload length u32, CRC-32C of kind, length and payload u32, payload
///     kind 1:  epoch 16 bytes, seq u64, the CloudEvent's exact bytes
///     kind 2:  SpoolState as JSON; commits the records before it
///     kind 3:  epoch 16 bytes, seq u64: in older segments only records of this epoch below seq count
enum Segment {
    static let version: UInt32 = 1
    static let magic = Array("PKTSPOOL".utf8)
    static let headerSize = 16
    static let frameHeaderSize = 12
    static let maximumPayload = 256 << 10

    enum Kind: UInt8 {
        case record = 1
        case state = 2
        case start = 3
    }

    /// What stands in a segment, in order; ranges are positions in the file.
    enum Item: Equatable {
        case record(epoch: UsageRecord.Epoch, seq: UInt64, event: Range<Int>)
        case state(payload: Range<Int>)
        case start(epoch: UsageRecord.Epoch, seq: UInt64)
        /// Bytes that are no valid frame.
        case damage(Range<Int>)
    }

    static func name(_ number: UInt64) -> String { padded(number) + ".segment" }

    static func padded(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 16 - digits.count)) + digits
    }

    static func number(_ name: String) -> UInt64? {
        guard name.hasSuffix(".segment") else { return nil }
        return UInt64(name.dropLast(".segment".count))
    }

    // MARK: Writing

    static func header() -> [UInt8] { magic + little(version) + little(UInt32(0)) }

    static func frame(_ record: StoredRecord) -> [UInt8] {
        frame(.record, raw(record.epoch) + little(record.seq) + record.bytes)
    }

    static func frame(_ state: SpoolState) -> [UInt8] { frame(.state, state.bytes) }

    static func frame(startOf epoch: UsageRecord.Epoch, seq: UInt64) -> [UInt8] {
        frame(.start, raw(epoch) + little(seq))
    }

    private static func frame(_ kind: Kind, _ payload: [UInt8]) -> [UInt8] {
        let checked = [kind.rawValue, 0] + little(UInt32(payload.count))
        return [0x50, 0x4b] + checked + little(CRC32C.checksum(checked[...], payload[...])) + payload
    }

    static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian, Array.init)
    }

    /// 32 hexadecimal digits as 16 bytes; anything else becomes zeros, which is the epoch before the first.
    static func raw(_ epoch: UsageRecord.Epoch) -> [UInt8] {
        let digits = epoch.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue.map(UInt8.init) }
        guard digits.count == 32 else { return Array(repeating: 0, count: 16) }
        return stride(from: 0, to: 32, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    static func epoch(_ raw: some Sequence<UInt8>) -> UsageRecord.Epoch {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: raw.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    // MARK: Reading

    /// False when the header names another version: then the bytes are not ours to interpret.
    static func isReadable(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.count >= headerSize, bytes.starts(with: magic) else { return true }
        return number(bytes, at: 8, UInt32.self) == version
    }

    /// Everything in a segment. After damage the search for the next valid frame goes on byte by byte.
    static func items(_ bytes: ArraySlice<UInt8>) -> [Item] {
        var items: [Item] = []
        var position = bytes.starts(with: magic) && bytes.count >= headerSize ? headerSize : 0
        var damaged: Int?
        while position < bytes.count {
            if let (item, end) = item(bytes, at: position) {
                if let start = damaged { items.append(.damage(start..<position)) }
                damaged = nil
                items.append(item)
                position = end
            } else {
                damaged = damaged ?? position
                position += 1
            }
        }
        if let start = damaged { items.append(.damage(start..<bytes.count)) }
        return items
    }

    private static func item(_ bytes: ArraySlice<UInt8>, at position: Int) -> (Item, end: Int)? {
        guard position + frameHeaderSize <= bytes.count, bytes[position] == 0x50, bytes[position + 1] == 0x4b,
            let kind = Kind(rawValue: bytes[position + 2])
        else { return nil }
        let length = Int(number(bytes, at: position + 4, UInt32.self))
        let start = position + frameHeaderSize
        guard length <= maximumPayload, length <= bytes.count - start else { return nil }
        guard
            CRC32C.checksum(bytes[position + 2..<position + 8], bytes[start..<start + length])
                == number(bytes, at: position + 8, UInt32.self)
        else { return nil }
        let end = start + length
        switch kind {
        case .state: return (.state(payload: start..<end), end)
        case .record, .start:
            guard length >= 24 else { return nil }
            let epoch = epoch(bytes[start..<start + 16])
            let seq = number(bytes, at: start + 16, UInt64.self)
            return kind == .start
                ? (.start(epoch: epoch, seq: seq), end)
                : (.record(epoch: epoch, seq: seq, event: start + 24..<end), end)
        }
    }

    private static func number<T: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>, at position: Int, _: T.Type) -> T {
        (0..<MemoryLayout<T>.size).reversed().reduce(0) { $0 << 8 | T(bytes[position + $1]) }
    }
}
