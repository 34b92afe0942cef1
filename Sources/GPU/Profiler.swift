import CNVML

/// The profiling counters (GPM) of one GPU or MIG instance: what happened between the last look and this one.
///
/// Two samples at least 100 ms apart are needed (nvml.h). The last tick's is kept, so nothing ever waits for a second one.
final class Profiler {
    /// Metric and where its value goes; percent, or MiB per second.
    private static let metrics:
        [(id: UInt32, part: any WritableKeyPath<GPUActivity, Double?> & Sendable, isRate: Bool)] = [
            (NVML_GPM_METRIC_GRAPHICS_UTIL, \.graphicsPercent, false), (NVML_GPM_METRIC_SM_UTIL, \.smPercent, false),
            (NVML_GPM_METRIC_SM_OCCUPANCY, \.smOccupancyPercent, false),
            (NVML_GPM_METRIC_ANY_TENSOR_UTIL, \.tensorPercent, false),
            (NVML_GPM_METRIC_DRAM_BW_UTIL, \.dramPercent, false),
            (NVML_GPM_METRIC_FP64_UTIL, \.fp64Percent, false), (NVML_GPM_METRIC_FP32_UTIL, \.fp32Percent, false),
            (NVML_GPM_METRIC_FP16_UTIL, \.fp16Percent, false),
            (NVML_GPM_METRIC_PCIE_TX_PER_SEC, \.pcieTransmitBytesPerSecond, true),
            (NVML_GPM_METRIC_PCIE_RX_PER_SEC, \.pcieReceiveBytesPerSecond, true),
            (NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC, \.nvlinkTransmitBytesPerSecond, true),
            (NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC, \.nvlinkReceiveBytesPerSecond, true),
        ]
    /// The counters of a MIG instance have no links of their own.
    private static let instanceMetrics = metrics.filter { !$0.isRate }
    static let shortestSpan: UInt64 = 100_000_000
    /// No link of 2026 comes near; above it a rate is nonsense.
    private static let mostMiBPerSecond = 10_000_000.0

    private let device: nvmlDevice_t
    private var instance: UInt32?
    private let whole: nvmlDevice_t
    private var before: nvmlGpmSample_t
    private var after: nvmlGpmSample_t
    private var takenAt: UInt64?

    /// Allocates the two samples; NOT_SUPPORTED where the device has no such counters.
    static func open(
        _ library: NVMLLibrary, _ device: nvmlDevice_t, parent: nvmlDevice_t?, instance: Int?
    ) -> NVMLAnswer<Profiler> {
        // A partition has no answer of its own; its GPU has.
        switch library.supportsProfiling(parent ?? device) {
        case .success(true): break
        case .success(false): return .failure(.notSupported)
        case .failure(let failure): return .failure(failure)
        }
        switch library.allocateProfilingSample() {
        case .failure(let failure): return .failure(failure)
        case .success(let first):
            switch library.allocateProfilingSample() {
            case .failure(let failure):
                library.freeProfilingSample(first)
                return .failure(failure)
            case .success(let second):
                let number = parent == nil ? nil : instance.flatMap { UInt32(exactly: $0) }
                return .success(Profiler(device, whole: parent ?? device, number, first, second))
            }
        }
    }

    private init(
        _ device: nvmlDevice_t, whole: nvmlDevice_t, _ instance: UInt32?, _ before: nvmlGpmSample_t,
        _ after: nvmlGpmSample_t
    ) {
        self.device = device
        self.whole = whole
        self.instance = instance
        self.before = before
        self.after = after
    }

    /// Gives the samples back.
    func close(_ library: NVMLLibrary) {
        library.freeProfilingSample(before)
        library.freeProfilingSample(after)
    }

    /// Takes a sample. `activity` is nil at the first look, and when the last one was just now.
    func look(
        _ library: NVMLLibrary, _ buffer: UnsafeMutablePointer<nvmlGpmMetricsGet_t>, at now: UInt64
    ) -> NVMLAnswer<(activity: GPUActivity?, isSuspect: Bool)> {
        if let takenAt, now < takenAt + Self.shortestSpan { return .success((nil, false)) }
        var failure = library.takeProfilingSample(instance == nil ? device : whole, instance: instance, into: after)
        if instance != nil, failure == .functionNotFound {
            // R520 has only the function that takes the instance's own handle.
            failure = library.takeProfilingSample(device, instance: nil, into: after)
        }
        if let failure {
            takenAt = nil
            return .failure(failure)
        }
        defer {
            swap(&before, &after)
            takenAt = now
        }
        guard takenAt != nil else { return .success((nil, false)) }
        let wanted = instance == nil ? Self.metrics : Self.instanceMetrics
        buffer.pointee.version = NVML_GPM_METRICS_GET_VERSION
        buffer.pointee.numMetrics = UInt32(wanted.count)
        buffer.pointee.sample1 = before
        buffer.pointee.sample2 = after
        // unsafe: the array that the structure ends with, CNVML_GPM_METRIC_CAPACITY long.
        let offset = MemoryLayout<nvmlGpmMetricsGet_t>.offset(of: \.metrics) ?? 24
        let metrics = UnsafeMutableRawPointer(buffer).advanced(by: offset).assumingMemoryBound(to: nvmlGpmMetric_t.self)
        for (index, metric) in wanted.enumerated() {
            metrics[index] = nvmlGpmMetric_t()
            metrics[index].metricId = metric.id
            metrics[index].nvmlReturn = NVML_ERROR_NOT_SUPPORTED
        }
        if let failure = library.profilingMetrics(buffer) { return .failure(failure) }
        var activity = GPUActivity()
        var isSuspect = false
        for (index, metric) in wanted.enumerated() where metrics[index].nvmlReturn == NVML_SUCCESS {
            let value = metrics[index].value
            // A little above 100 comes from the counters' own clocks.
            guard value.isFinite, value >= 0, value <= (metric.isRate ? Self.mostMiBPerSecond : 101) else {
                isSuspect = true
                continue
            }
            activity[keyPath: metric.part] = metric.isRate ? value * 1_048_576 : min(value, 100)
        }
        return .success((activity, isSuspect))
    }
}
