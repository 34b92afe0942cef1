import CNVML

/// What a visit needs beyond the device: lent for one tick.
struct ReadingContext {
    let library: NVMLLibrary
    let fields: UnsafeMutableBufferPointer<nvmlFieldValue_t>
    let samples: UnsafeMutableBufferPointer<nvmlSample_t>
    let metrics: UnsafeMutablePointer<nvmlGpmMetricsGet_t>
    /// Nanoseconds between ticks.
    let interval: UInt64
    /// Whether what changes slowly is looked at too.
    let isSlow: Bool
    /// Where the kernel shows processes.
    let processDirectory: String
    let now: () -> UInt64
}

/// Beyond these a reading is nonsense and counts as absent. No GPU of 2026 comes near.
enum Limits {
    static let milliwatts: UInt64 = 20_000_000
    static let megahertz: UInt32 = 20_000
    static let celsius = -60...250
}
