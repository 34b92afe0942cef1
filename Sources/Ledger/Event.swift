import FoundationEssentials
public import UsageRecord

/// One element of a batch: its exact bytes, and what could be read from them.
public struct Event: Sendable, Equatable {
    /// What identifies a record within its pod.
    public struct Key: Sendable, Hashable {
        /// The agent start.
        public var epoch: UsageRecord.Epoch
        /// Its place in that epoch.
        public var seq: UInt64

        /// Makes a key.
        public init(epoch: UsageRecord.Epoch, seq: UInt64) {
            self.epoch = epoch
            self.seq = seq
        }
    }

    /// The key.
    public let key: Key
    /// The bytes as they were sent.
    public let bytes: [UInt8]
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    public let sha256: String
    /// The record, or the rule that the bytes break.
    public let record: Result<UsageRecord, RecordError>
}

extension Event.Key {
    // The key of an event that is not a record: from its data, else from its id `EPOCH:SEQ`.
    init?(ofMalformed bytes: [UInt8]) {
        struct InData: Decodable {
            struct Fields: Decodable {
                var epoch: String
                var seq: UInt64
            }
            var data: Fields
        }
        struct InID: Decodable { var id: String }
        let decoder = JSONDecoder()
        if let found = try? decoder.decode(InData.self, from: Data(bytes)).data {
            self.init(epoch: found.epoch, seq: found.seq)
        } else if let id = try? decoder.decode(InID.self, from: Data(bytes)).id,
            let colon = id.utf8.firstIndex(of: 0x3a),
            let seq = UInt64(id[id.utf8.index(after: colon)...])
        {
            self.init(epoch: String(id[..<colon]), seq: seq)
        } else {
            return nil
        }
        guard epoch.utf8.count == 32, epoch.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        else {
            return nil
        }
    }
}
