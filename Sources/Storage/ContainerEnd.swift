/// How the container ended that held the lease before, as far as its last note tells.
public struct ContainerEnd: Sendable, Equatable {
    /// Why it ended.
    public enum Cause: String, Sendable {
        /// It was asked to.
        case asked
        /// Probably for want of memory.
        case outOfMemory
        /// Probably for want of room on disk.
        case evicted
        /// It had no time to say why.
        case unknown
    }

    /// Why it ended.
    public let cause: Cause
    /// One or two sentences.
    public let text: String

    /// Judges the last note.
    ///
    /// - Parameters:
    ///   - last: what the last agent wrote.
    ///   - killsNow: processes killed for want of memory in this control group; a container that is started again in the
    ///     same pod may share the group of the last one.
    public init(_ last: VolumeLease, killsNow: UInt64?) {
        let place = "pod \(last.pod)"
        let shortage = Self.shortage(last)
        if let signal = last.ended {
            cause = shortage == nil ? .asked : .evicted
            text = "the last agent (\(place)) was asked to end (\(signal)) at \(last.renewedAt)\(shortage ?? "")"
            return
        }
        let memory = last.memory
        let largest = memory?.largest.map {
            "; the largest process was \($0.command) (process \($0.pid), \(ByteCount.format($0.bytes)))"
        }
        let killed = memory.flatMap { memory in killsNow.map { $0 > memory.outOfMemoryKills } } ?? false
        let wasNearLimit =
            memory.flatMap { memory in memory.limitBytes.map { memory.usedBytes >= $0 / 10 * 9 } } ?? false
        if killed || wasNearLimit || memory?.outOfMemoryKills ?? 0 > 0 {
            cause = .outOfMemory
            let amount =
                memory.map { memory in
                    let limit = memory.limitBytes.map { " of \(ByteCount.format($0))" } ?? ""
                    return ", using \(ByteCount.format(memory.usedBytes))\(limit)"
                } ?? ""
            let certainty = killed ? "the kernel killed a process for want of memory" : "memory was short"
            text =
                "the last container (\(place)) ended without notice after \(last.renewedAt)\(amount): \(certainty)\(largest ?? "")"
        } else {
            cause = shortage == nil ? .unknown : .evicted
            text =
                "the last container (\(place)) ended without notice after \(last.renewedAt)"
                + (shortage ?? ": SIGKILL, an eviction, or the node; memory was not short")
        }
    }

    /// The kubelet evicts above the pod's limit, and where less than 10 % of its disk is left, or 15 % of that of images.
    private static func shortage(_ last: VolumeLease) -> String? {
        func text(_ space: VolumeLease.Space?, _ name: String, percent: Double) -> String? {
            guard let space, Double(space.usedBytes) >= Double(space.limitBytes) * percent / 100 else { return nil }
            let use = "\(ByteCount.format(space.usedBytes)) of \(ByteCount.format(space.limitBytes))"
            return ", probably evicted: \(name) was at \(use)"
        }
        return text(last.ephemeral, "ephemeral storage", percent: 90) ?? text(last.disk, "the node's disk", percent: 85)
    }
}
