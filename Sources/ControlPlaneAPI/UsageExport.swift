/// `GET /v1/usage?from&to&cursor`: one page of the billing export of a team.
///
/// Allocated time is the authority; what the agents observed, and the gaps they declared, are evidence beside it. A
/// record counts in the window that its end (by the pod's wall clock) lies in, so adjacent windows add up.
public struct UsageExport: Sendable, Equatable, Codable {
    /// What one GPU of a subscription was seen doing.
    public struct GPU: Sendable, Equatable, Codable {
        /// NVML's UUID.
        public var uuid: String
        /// Length of the observed intervals, in milliseconds.
        public var intervalMilliseconds: UInt64
        /// Milliseconds in them that samples vouch for.
        public var observedMilliseconds: UInt64
        /// Declared gaps in milliseconds, by cause.
        public var gapMilliseconds: [String: UInt64]
        /// Busy milliseconds; absent when the GPU does not tell.
        public var busyMilliseconds: UInt64?
        /// Energy in millijoules; absent when the GPU does not tell.
        public var energyMillijoules: UInt64?
        /// True when a counter went back, so that the energy is a lower bound.
        public var energyIsLowerBound: Bool
        /// Memory integrated over time in byte milliseconds, as decimal digits: it outgrows 2^53 within hours.
        public var memoryByteMilliseconds: String?
        /// Allocated time that is neither observed nor declared as a gap; negative when more was seen than allocated.
        public var discrepancyMilliseconds: Int64

        /// Makes a row.
        public init(
            uuid: String, intervalMilliseconds: UInt64, observedMilliseconds: UInt64, gapMilliseconds: [String: UInt64],
            busyMilliseconds: UInt64?, energyMillijoules: UInt64?, energyIsLowerBound: Bool,
            memoryByteMilliseconds: String?, discrepancyMilliseconds: Int64
        ) {
            self.uuid = uuid
            self.intervalMilliseconds = intervalMilliseconds
            self.observedMilliseconds = observedMilliseconds
            self.gapMilliseconds = gapMilliseconds
            self.busyMilliseconds = busyMilliseconds
            self.energyMillijoules = energyMillijoules
            self.energyIsLowerBound = energyIsLowerBound
            self.memoryByteMilliseconds = memoryByteMilliseconds
            self.discrepancyMilliseconds = discrepancyMilliseconds
        }

        enum CodingKeys: String, CodingKey {
            case uuid = "gpu_uuid"
            case intervalMilliseconds = "interval_ms"
            case observedMilliseconds = "observed_ms"
            case gapMilliseconds = "gap_ms"
            case busyMilliseconds = "busy_ms"
            case energyMillijoules = "energy_mj"
            case energyIsLowerBound = "energy_is_lower_bound"
            case memoryByteMilliseconds = "memory_byte_ms"
            case discrepancyMilliseconds = "discrepancy_ms"
        }
    }

    /// The allocation and the evidence of one subscription.
    public struct SubscriptionUsage: Sendable, Equatable, Codable {
        /// The subscription.
        public var subscriptionID: String
        /// Its pod.
        public var podUID: String
        /// Its pool.
        public var poolID: String
        /// Its GPUs.
        public var vgpus: Int
        /// Wall time of the allocation inside the window, in milliseconds.
        public var allocatedMilliseconds: UInt64
        /// The same for each GPU together.
        public var allocatedGPUMilliseconds: UInt64
        /// Observed time of all GPUs.
        public var observedMilliseconds: UInt64
        /// Declared gaps of all GPUs.
        public var gapMilliseconds: UInt64
        /// Allocated GPU time that is neither observed nor declared; negative when more was seen than allocated.
        public var discrepancyMilliseconds: Int64
        /// No evidence that ends before this is still to come, if the pod's wall clock is right.
        public var completeThrough: Timestamp
        /// The evidence for each GPU.
        public var gpus: [GPU]

        /// Makes a row.
        public init(
            subscriptionID: String, podUID: String, poolID: String, vgpus: Int, allocatedMilliseconds: UInt64,
            allocatedGPUMilliseconds: UInt64, observedMilliseconds: UInt64, gapMilliseconds: UInt64,
            discrepancyMilliseconds: Int64, completeThrough: Timestamp, gpus: [GPU]
        ) {
            self.subscriptionID = subscriptionID
            self.podUID = podUID
            self.poolID = poolID
            self.vgpus = vgpus
            self.allocatedMilliseconds = allocatedMilliseconds
            self.allocatedGPUMilliseconds = allocatedGPUMilliseconds
            self.observedMilliseconds = observedMilliseconds
            self.gapMilliseconds = gapMilliseconds
            self.discrepancyMilliseconds = discrepancyMilliseconds
            self.completeThrough = completeThrough
            self.gpus = gpus
        }

        enum CodingKeys: String, CodingKey {
            case vgpus, gpus
            case subscriptionID = "subscription_id"
            case podUID = "pod_uid"
            case poolID = "pool_id"
            case allocatedMilliseconds = "allocated_ms"
            case allocatedGPUMilliseconds = "allocated_gpu_ms"
            case observedMilliseconds = "observed_ms"
            case gapMilliseconds = "gap_ms"
            case discrepancyMilliseconds = "discrepancy_ms"
            case completeThrough = "complete_through"
        }
    }

    /// The time of one volume, attached or not.
    public struct VolumeUsage: Sendable, Equatable, Codable {
        /// The volume.
        public var volumeID: Int64
        /// Its name.
        public var name: String
        /// Its size in GB.
        public var sizeGB: Int64
        /// Milliseconds of its life inside the window.
        public var allocatedMilliseconds: UInt64
        /// Hours of its life, counted from its creation, that began inside the window.
        public var billedHours: UInt64

        /// Makes a row.
        public init(
            volumeID: Int64, name: String, sizeGB: Int64, allocatedMilliseconds: UInt64, billedHours: UInt64
        ) {
            self.volumeID = volumeID
            self.name = name
            self.sizeGB = sizeGB
            self.allocatedMilliseconds = allocatedMilliseconds
            self.billedHours = billedHours
        }

        enum CodingKeys: String, CodingKey {
            case name
            case volumeID = "volume_id"
            case sizeGB = "size_gb"
            case allocatedMilliseconds = "allocated_ms"
            case billedHours = "billed_hours"
        }
    }

    /// Start of the window, inclusive.
    public var from: Timestamp
    /// End of the window, exclusive.
    public var to: Timestamp
    /// When this page was computed.
    public var asOf: Timestamp
    /// The figures of the window's part before this will not change: the smallest over all subscriptions of the window.
    public var completeThrough: Timestamp
    /// Subscriptions of this page.
    public var subscriptions: [SubscriptionUsage]
    /// Volumes of this page.
    public var volumes: [VolumeUsage]
    /// Ask again with this for the next page; absent on the last.
    public var nextCursor: String?

    /// Makes a page.
    public init(
        from: Timestamp, to: Timestamp, asOf: Timestamp, completeThrough: Timestamp, subscriptions: [SubscriptionUsage],
        volumes: [VolumeUsage], nextCursor: String? = nil
    ) {
        self.from = from
        self.to = to
        self.asOf = asOf
        self.completeThrough = completeThrough
        self.subscriptions = subscriptions
        self.volumes = volumes
        self.nextCursor = nextCursor
    }

    enum CodingKeys: String, CodingKey {
        case from, to, subscriptions, volumes
        case asOf = "as_of"
        case completeThrough = "complete_through"
        case nextCursor = "next_cursor"
    }

    /// Writes every key; what is absent is `null`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(from, forKey: .from)
        try container.encode(to, forKey: .to)
        try container.encode(asOf, forKey: .asOf)
        try container.encode(completeThrough, forKey: .completeThrough)
        try container.encode(subscriptions, forKey: .subscriptions)
        try container.encode(volumes, forKey: .volumes)
        try container.encode(nextCursor, forKey: .nextCursor)
    }
}
