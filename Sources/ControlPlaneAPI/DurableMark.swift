public import UsageRecord

/// A high-water mark: everything of the epoch through the sequence number is durable or permanently rejected.
public typealias DurableMark = Acknowledgement.Durable
