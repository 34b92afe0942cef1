public import GPU

/// How busy each device was in the last minutes, one number a snapshot: what the live view draws.
public struct GPUHistory: Sendable {
    /// So many are kept.
    public static let capacity = 300

    private var percents: [String: [Int?]] = [:]
    private var lastTick: UInt64?
    /// The newest snapshot.
    public private(set) var snapshot: GPUSnapshot?

    /// Nothing seen.
    public init() {}

    /// Adds a snapshot; the same one twice counts once.
    public mutating func add(_ snapshot: GPUSnapshot) {
        self.snapshot = snapshot
        guard snapshot.tick != lastTick else { return }
        lastTick = snapshot.tick
        percents = percents.filter { entry in snapshot.devices.contains { $0.uuid == entry.key } }
        for (device, sample) in zip(snapshot.devices, snapshot.samples) {
            let percent = sample.utilizationGPUPercent ?? sample.activity?.graphicsPercent.map { Int($0.rounded()) }
            percents[device.uuid, default: []].append(sample.state == .ok && snapshot.state == .ok ? percent : nil)
            if let count = percents[device.uuid]?.count, count > Self.capacity {
                percents[device.uuid]?.removeFirst(count - Self.capacity)
            }
        }
    }

    /// The last numbers of a device, oldest first; nil where nothing was known.
    public func percents(of uuid: String) -> [Int?] { percents[uuid] ?? [] }
}
