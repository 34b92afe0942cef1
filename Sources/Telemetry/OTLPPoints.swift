import GPU

/// A metric of OTLP: what the conventions say about it.
struct OTLPMetric: Sendable {
    enum Kind: Sendable { case gauge, counter, upDownCounter }

    let name: String
    let kind: Kind
    let unit: String
    let description: String

    /// `hw.*` from OpenTelemetry's semantic conventions (hardware, GPU), 1.44; `packet.*` ours.
    static let all: [OTLPMetric] = [
        .init("hw.gpu.utilization", .gauge, "1", "Fraction of time spent in a specific task."),
        .init("hw.gpu.memory.usage", .upDownCounter, "By", "GPU memory used."),
        .init("hw.gpu.memory.limit", .upDownCounter, "By", "Size of the GPU memory."),
        .init("hw.gpu.memory.utilization", .gauge, "1", "Fraction of GPU memory used."),
        .init("hw.gpu.io", .counter, "By", "Received and transmitted bytes by the GPU over PCIe."),
        .init("hw.errors", .counter, "{error}", "Number of errors encountered by the component."),
        .init("hw.status", .upDownCounter, "1", "Operational status: 1 for the state the component is in."),
        .init("hw.energy", .counter, "J", "Energy consumed by the component."),
        .init("hw.power", .gauge, "W", "Instantaneous power consumed by the component."),
        .init("hw.temperature", .gauge, "Cel", "Temperature in degrees Celsius."),
        .init("packet.gpu.busy_time", .counter, "s", "Time in which a kernel ran."),
        .init("packet.gpu.unobserved_time", .counter, "s", "Time in which it is not known whether a kernel ran."),
        .init("packet.gpu.memory_bandwidth.busy_time", .counter, "s", "Time in which GPU memory was read or written."),
        .init("packet.gpu.activity", .gauge, "1", "Fraction of time a part of the GPU worked."),
        .init("packet.gpu.clock", .gauge, "Hz", "Clock frequency."),
        .init("packet.gpu.throttled_time", .counter, "s", "Time in which clocks were held down."),
        .init("packet.gpu.xid", .counter, "{error}", "XID errors by code."),
        .init("packet.gpu.nvlink.io", .counter, "By", "Bytes over all NVLinks since the driver was loaded."),
        .init("packet.gpu.remapped_rows", .counter, "{row}", "Memory rows replaced by spare ones."),
        .init("packet.gpu.recovery_action", .gauge, "1", "What the driver asks for: 0 nothing."),
        .init("packet.nvml.state", .upDownCounter, "1", "NVML as a whole: 1 for the state it is in."),
    ]

    private static let places = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1.name, $0) })

    static func place(_ name: String) -> Int { places[name] ?? 0 }

    init(_ name: String, _ kind: Kind, _ unit: String, _ description: String) {
        self.name = name
        self.kind = kind
        self.unit = unit
        self.description = description
    }
}

/// Collects the values of a snapshot. What a device does not have gives no point.
struct OTLPPoints {
    var all: [OTLPPoint] = []

    mutating func collect(_ snapshot: GPUSnapshot) {
        for state in GPUState.allCases {
            add("packet.nvml.state", [("state", state.rawValue)], .integer(state == snapshot.state ? 1 : 0))
        }
        for (device, sample) in zip(snapshot.devices, snapshot.samples) { collect(device, sample, snapshot) }
        for count in snapshot.xidCounts {
            add(
                "packet.gpu.xid", [("hw.id", count.uuid ?? "unknown"), ("xid", String(count.xid))],
                .integer(count.count))
        }
    }

    private mutating func collect(_ device: GPUDevice, _ sample: GPUSample, _ snapshot: GPUSnapshot) {
        var identity = [("hw.id", device.uuid), ("hw.model", device.name), ("hw.vendor", "NVIDIA")]
        if let parent = device.parentUUID { identity.append(("hw.parent", parent)) }
        if let version = snapshot.driverVersion { identity.append(("hw.driver_version", version)) }
        if let version = device.vbiosVersion { identity.append(("hw.firmware_version", version)) }
        let typed = identity + [("hw.type", "gpu")]

        for (state, isTrue) in states(sample) {
            add("hw.status", typed + [("hw.state", state)], .integer(isTrue ? 1 : 0))
        }
        let tasks = [
            ("general", sample.utilizationGPUPercent.map { Double($0) } ?? sample.activity?.graphicsPercent),
            ("encoder", sample.details?.encoderPercent.map { Double($0) }),
            ("decoder", sample.details?.decoderPercent.map { Double($0) }),
        ]
        for (task, percent) in tasks {
            add("hw.gpu.utilization", identity + [("hw.gpu.task", task)], number(percent, 0.01))
        }
        add("hw.gpu.memory.usage", identity, integer(sample.memoryUsedBytes))
        add("hw.gpu.memory.limit", identity, integer(device.memoryTotalBytes))
        if let used = sample.memoryUsedBytes, let total = device.memoryTotalBytes, total > 0 {
            add("hw.gpu.memory.utilization", identity, .number(Double(used) / Double(total)))
        }
        add("hw.gpu.io", identity + [("network.io.direction", "transmit")], integer(sample.pcieTransmittedBytes))
        add("hw.gpu.io", identity + [("network.io.direction", "receive")], integer(sample.pcieReceivedBytes))
        add("hw.errors", typed + [("error.type", "corrected")], integer(sample.details?.eccCorrected))
        add("hw.errors", typed + [("error.type", "uncorrected")], integer(sample.eccUncorrected))
        add("hw.energy", typed, number(sample.energyUsedMillijoules.map { Double($0) }, 0.001))
        add("hw.power", typed, number(sample.powerMilliwatts.map { Double($0) }, 0.001))
        add(
            "hw.temperature", identity + [("hw.sensor_location", "gpu")],
            number(sample.temperatureCelsius.map { Double($0) }, 1))
        add(
            "hw.temperature", identity + [("hw.sensor_location", "memory")],
            number(sample.memoryTemperatureCelsius.map { Double($0) }, 1))
        collectOwn(identity, sample)
    }

    private mutating func collectOwn(_ identity: [(String, String)], _ sample: GPUSample) {
        if let busy = sample.busy {
            let method = identity + [("packet.method", busy.method.rawValue)]
            add("packet.gpu.busy_time", method, number(Double(busy.busyNanoseconds), 1e-9))
            add("packet.gpu.unobserved_time", method, number(Double(busy.unobservedNanoseconds), 1e-9))
        }
        add(
            "packet.gpu.memory_bandwidth.busy_time", identity,
            number(sample.memoryBusy.map { Double($0.busyNanoseconds) }, 1e-9))
        let parts = [
            ("graphics", sample.activity?.graphicsPercent), ("sm", sample.activity?.smPercent),
            ("sm_occupancy", sample.activity?.smOccupancyPercent), ("tensor", sample.activity?.tensorPercent),
            ("dram", sample.activity?.dramPercent), ("fp64", sample.activity?.fp64Percent),
            ("fp32", sample.activity?.fp32Percent), ("fp16", sample.activity?.fp16Percent),
        ]
        for (part, percent) in parts {
            add("packet.gpu.activity", identity + [("packet.part", part)], number(percent, 0.01))
        }
        add("packet.gpu.clock", identity + [("packet.domain", "sm")], number(sample.smClockMHz.map { Double($0) }, 1e6))
        add(
            "packet.gpu.clock", identity + [("packet.domain", "memory")],
            number(sample.memoryClockMHz.map { Double($0) }, 1e6))
        for (cause, nanoseconds) in sample.details?.throttledNanoseconds ?? [:] {
            add("packet.gpu.throttled_time", identity + [("packet.cause", cause)], number(Double(nanoseconds), 1e-9))
        }
        add(
            "packet.gpu.nvlink.io", identity + [("network.io.direction", "transmit")],
            integer(sample.details?.nvlinkTransmittedBytes))
        add(
            "packet.gpu.nvlink.io", identity + [("network.io.direction", "receive")],
            integer(sample.details?.nvlinkReceivedBytes))
        add(
            "packet.gpu.remapped_rows", identity + [("error.type", "corrected")],
            integer(sample.details?.remappedRowsCorrectable))
        add(
            "packet.gpu.remapped_rows", identity + [("error.type", "uncorrected")],
            integer(sample.details?.remappedRowsUncorrectable))
        add("packet.gpu.recovery_action", identity, integer(sample.recoveryAction.flatMap { UInt64(exactly: $0) }))
    }

    /// hw.state: failed when it cannot be used, predicted to fail when the driver asks for repair, degraded when held down.
    private func states(_ sample: GPUSample) -> [(String, Bool)] {
        let isPredicted = (sample.recoveryAction ?? 0) > 0 || sample.details?.isRemapFailed == true
        // Hardware slowdown, heat, power brake.
        let isDegraded = (sample.clockEventReasons ?? 0) & 0xE8 != 0
        let state =
            sample.state != .ok ? "failed" : isPredicted ? "predicted_failure" : isDegraded ? "degraded" : "ok"
        return ["ok", "degraded", "failed", "predicted_failure"].map { ($0, $0 == state) }
    }

    private func integer(_ value: UInt64?) -> OTLPPoint.Value? { value.map { .integer($0) } }

    private func number(_ value: Double?, _ factor: Double) -> OTLPPoint.Value? { value.map { .number($0 * factor) } }

    private mutating func add(_ name: String, _ attributes: [(String, String)], _ value: OTLPPoint.Value?) {
        guard let value else { return }
        all.append(
            OTLPPoint(
                metric: OTLPMetric.place(name), series: OTLPSeries(name: name, attributes: attributes), value: value))
    }
}
