import GPU

/// The agent's own metrics, `packet_agent_*`: what dcgm-exporter has not, in Prometheus' base units.
enum AgentFamilies {
    static func write(
        _ exposition: PrometheusExposition, _ snapshot: GPUSnapshot, _ devices: [PrometheusExposition.Device],
        now: UInt64,
        _ writer: inout PrometheusWriter
    ) {
        writer.family("packet_agent_build_info", .gauge, "The agent's version; always 1.")
        writer.sample(
            "packet_agent_build_info", PrometheusWriter.labels([("version", exposition.version)]), .integer(1))
        writer.family(
            "packet_agent_nvml_state", .gauge,
            "Whether NVML as a whole is in this state: 1 for one of them, 0 for the others.")
        for state in GPUState.allCases {
            writer.sample(
                "packet_agent_nvml_state", PrometheusWriter.labels([("state", state.rawValue)]),
                .integer(state == snapshot.state ? 1 : 0))
        }
        let totals: [(StaticString, MetricType, StaticString, PrometheusWriter.Value)] = [
            (
                "packet_agent_gpus_visible", .gauge, "GPUs and MIG instances that can be allocated.",
                .integer(UInt64(snapshot.allocatableDevices.count))
            ),
            (
                "packet_agent_gpus_hidden", .gauge, "GPUs that NVML counts and does not let this container see.",
                .integer(UInt64(max(0, snapshot.hiddenDevices)))
            ),
            (
                "packet_agent_gpus_failed", .gauge, "GPUs that NVML counts and that never answered.",
                .integer(UInt64(max(0, snapshot.failedDevices)))
            ),
            ("packet_agent_gpu_ticks_total", .counter, "Looks at the GPUs.", .integer(snapshot.tick)),
            (
                "packet_agent_gpu_sample_age_seconds", .gauge, "Seconds since the last look at the GPUs.",
                seconds(now - min(now, snapshot.asOf))
            ),
            (
                "packet_agent_gpu_tick_seconds", .gauge, "Seconds the last look took.",
                seconds(snapshot.statistics.tickNanoseconds)
            ),
            (
                "packet_agent_gpu_tick_own_seconds", .gauge, "Seconds of the last look outside NVML.",
                seconds(snapshot.statistics.ownNanoseconds)
            ),
            ("packet_agent_nvml_calls_total", .counter, "Calls into NVML.", .integer(snapshot.statistics.nvmlCalls)),
            (
                "packet_agent_nvml_call_seconds_total", .counter, "Seconds spent in calls into NVML.",
                seconds(snapshot.statistics.nvmlNanoseconds)
            ),
            (
                "packet_agent_nvml_hangs_total", .counter, "Calls into NVML that did not return for too long.",
                .integer(snapshot.statistics.hangs)
            ),
            (
                "packet_agent_nvml_openings_total", .counter, "Times NVML was initialized.",
                .integer(snapshot.generation)
            ),
        ]
        for (name, type, help, value) in totals {
            writer.family(name, type, help)
            writer.sample(name, [], value)
        }
        writeDevices(devices, &writer)
        writeEvents(snapshot, &writer)
    }

    private static func writeDevices(_ devices: [PrometheusExposition.Device], _ writer: inout PrometheusWriter) {
        each("packet_agent_gpu_up", .gauge, "Whether the device answers.", devices, &writer) {
            .integer($0.state == .ok ? 1 : 0)
        }
        if !devices.isEmpty {
            writer.family("packet_agent_gpu_state", .gauge, "The state the device is in; always 1.")
            for device in devices {
                let labels = PrometheusWriter.labels(device.own + [("state", device.sample.state.rawValue)])
                writer.sample("packet_agent_gpu_state", labels, .integer(1))
            }
        }
        busy(
            devices, &writer, \.busy, "packet_agent_gpu_busy_seconds_total",
            "Seconds in which a kernel ran, since the agent started.",
            "packet_agent_gpu_observed_seconds_total", "Seconds in which it is known whether a kernel ran.",
            "packet_agent_gpu_unobserved_seconds_total",
            "Seconds in which it is not known whether a kernel ran: neither busy nor idle.")
        busy(
            devices, &writer, \.memoryBusy, "packet_agent_gpu_memory_bandwidth_busy_seconds_total",
            "Seconds in which GPU memory was read or written, since the agent started.",
            "packet_agent_gpu_memory_bandwidth_observed_seconds_total",
            "Seconds in which it is known whether GPU memory was read or written.",
            "packet_agent_gpu_memory_bandwidth_unobserved_seconds_total",
            "Seconds in which it is not known whether GPU memory was read or written.")
        let measured = devices.filter { $0.sample.busy != nil }
        if !measured.isEmpty {
            writer.family(
                "packet_agent_gpu_busy_method", .gauge,
                "How the busy seconds are measured (samples, rates, profiling) and of what; always 1.")
            for device in measured {
                let labels = PrometheusWriter.labels(
                    device.own + [
                        ("method", device.sample.busy?.method.rawValue ?? ""),
                        ("scope", device.device.parentUUID == nil ? "gpu" : "instance"),
                    ])
                writer.sample("packet_agent_gpu_busy_method", labels, .integer(1))
            }
        }
        each(
            "packet_agent_gpu_energy_joules_total", .counter,
            "Energy since the agent started; goes on across restarts of the driver.", devices, &writer
        ) {
            .scaled($0.energyUsedMillijoules, 0.001)
        }
        each(
            "packet_agent_gpu_energy_resets_total", .counter,
            "Times the driver's energy counter started again.", devices, &writer
        ) {
            .whole($0.energyResets)
        }
        each(
            "packet_agent_gpu_pcie_transmitted_bytes_total", .counter, "Bytes sent over PCIe since the agent started.",
            devices, &writer
        ) {
            .whole($0.pcieTransmittedBytes)
        }
        each(
            "packet_agent_gpu_pcie_received_bytes_total", .counter, "Bytes received over PCIe since the agent started.",
            devices, &writer
        ) {
            .whole($0.pcieReceivedBytes)
        }
        each("packet_agent_gpu_power_limit_watts", .gauge, "The power limit in force.", devices, &writer) {
            .scaled($0.details?.powerLimitMilliwatts, 0.001)
        }
        each(
            "packet_agent_gpu_clock_event_reasons", .gauge, "Why clocks are lower than they could be, as NVML's bits.",
            devices, &writer
        ) {
            .whole($0.clockEventReasons)
        }
        each(
            "packet_agent_gpu_recovery_action", .gauge,
            "What the driver asks for: 0 nothing, 1 reset, 2 reboot of the node, 3 drain, 4 drain and reset.", devices,
            &writer
        ) {
            .whole($0.recoveryAction)
        }
        each(
            "packet_agent_gpu_suspect_readings", .gauge, "Readings of the last look that cannot be true.", devices,
            &writer
        ) {
            .whole($0.suspect?.count ?? 0)
        }
        each(
            "packet_agent_gpu_processes", .gauge, "Processes that use the device, as far as the driver says.", devices,
            &writer
        ) {
            .whole($0.details?.processes?.count)
        }
        let throttled = devices.filter { $0.sample.details?.throttledNanoseconds != nil }
        if !throttled.isEmpty {
            writer.family(
                "packet_agent_gpu_throttled_seconds_total", .counter,
                "Seconds in which clocks were held down since the driver was loaded, by cause.")
            for device in throttled {
                for (cause, value) in (device.sample.details?.throttledNanoseconds ?? [:]).sorted(by: {
                    $0.key < $1.key
                }) {
                    let labels = PrometheusWriter.labels(device.own + [("cause", cause)])
                    writer.sample("packet_agent_gpu_throttled_seconds_total", labels, seconds(value))
                }
            }
        }
    }

    private static func writeEvents(_ snapshot: GPUSnapshot, _ writer: inout PrometheusWriter) {
        if !snapshot.xidCounts.isEmpty {
            writer.family("packet_agent_gpu_xid_errors_total", .counter, "XID errors since the agent started, by code.")
            for count in snapshot.xidCounts {
                let labels = PrometheusWriter.labels([
                    ("uuid", count.uuid ?? ""), ("xid", String(count.xid)),
                    ("weight", XIDMeaning.of(count.xid).weight.rawValue),
                ])
                writer.sample("packet_agent_gpu_xid_errors_total", labels, .integer(count.count))
            }
        }
        if !snapshot.eventCounts.isEmpty {
            writer.family(
                "packet_agent_gpu_events_total", .counter,
                "Other events of the driver since the agent started, by type.")
            for (type, count) in snapshot.eventCounts.sorted(by: { $0.key < $1.key }) {
                writer.sample(
                    "packet_agent_gpu_events_total", PrometheusWriter.labels([("type", type)]), .integer(count))
            }
        }
    }

    private static func each(
        _ name: StaticString, _ type: MetricType, _ help: StaticString, _ devices: [PrometheusExposition.Device],
        _ writer: inout PrometheusWriter, _ value: (GPUSample) -> PrometheusWriter.Value?
    ) {
        var isFirst = true
        for device in devices {
            guard let value = value(device.sample) else { continue }
            if isFirst { writer.family(name, type, help) }
            isFirst = false
            writer.sample(name, device.ownLabels, value)
        }
    }

    private static func busy(
        _ devices: [PrometheusExposition.Device], _ writer: inout PrometheusWriter,
        _ time: KeyPath<GPUSample, GPUBusyTime?>,
        _ busyName: StaticString, _ busyHelp: StaticString, _ observedName: StaticString, _ observedHelp: StaticString,
        _ unobservedName: StaticString, _ unobservedHelp: StaticString
    ) {
        let parts: [(StaticString, StaticString, KeyPath<GPUBusyTime, UInt64>)] = [
            (busyName, busyHelp, \.busyNanoseconds), (observedName, observedHelp, \.observedNanoseconds),
            (unobservedName, unobservedHelp, \.unobservedNanoseconds),
        ]
        for (name, help, part) in parts {
            each(name, .counter, help, devices, &writer) { sample in
                sample[keyPath: time].map { seconds($0[keyPath: part]) }
            }
        }
    }

    private static func seconds(_ nanoseconds: UInt64) -> PrometheusWriter.Value { .number(Double(nanoseconds) / 1e9) }
}
