/// `packet_agent_*` beside the GPUs: records on their way, the OTLP export, the agent's age.
enum HealthFamilies {
    static func write(_ health: AgentHealth, now: UInt64, _ writer: inout PrometheusWriter) {
        if let started = health.startedAt {
            one(
                "packet_agent_uptime_seconds", .gauge, "Seconds since the agent started.",
                .number(Double(now - min(now, started)) / 1e9), &writer)
        }
        if let usage = health.usage { write(usage, &writer) }
        if let telemetry = health.telemetry { write(telemetry, now: now, &writer) }
    }

    private static func write(_ usage: AgentHealth.Usage, _ writer: inout PrometheusWriter) {
        one(
            "packet_agent_usage_spooled_records", .gauge, "Usage records that wait for the control plane.",
            .integer(usage.spooledRecords), &writer)
        one("packet_agent_usage_spool_bytes", .gauge, "Size of the spool.", .integer(usage.spoolBytes), &writer)
        one(
            "packet_agent_usage_oldest_unacknowledged_seconds", .gauge,
            "Seconds for which usage records have waited; 0 when none waits.",
            .number(usage.oldestUnacknowledgedSeconds ?? 0), &writer)
        if let seconds = usage.lastAcknowledgementSeconds {
            one(
                "packet_agent_usage_last_acknowledgement_age_seconds", .gauge,
                "Seconds since the control plane last acknowledged usage records.", .number(seconds), &writer)
        }
        one(
            "packet_agent_usage_rejected_records_total", .counter, "Usage records that the control plane refused.",
            .integer(usage.rejectedRecords), &writer)
        one(
            "packet_agent_usage_dead_letters_total", .counter,
            "Usage records set aside because the control plane refused them alone.",
            .integer(usage.quarantinedRecords), &writer)
        one(
            "packet_agent_usage_lost_intervals_total", .counter,
            "Intervals that could not be stored and became declared gaps.", .integer(usage.lostIntervals), &writer)
        one(
            "packet_agent_usage_durable", .gauge, "Whether usage records can be stored.",
            .integer(usage.isDurable ? 1 : 0), &writer)
    }

    private static func write(_ telemetry: TelemetryDelivery, now: UInt64, _ writer: inout PrometheusWriter) {
        one(
            "packet_agent_otlp_batches_total", .counter, "Batches that the OTLP receiver took.",
            .integer(telemetry.batches), &writer)
        one(
            "packet_agent_otlp_dropped_batches_total", .counter, "Batches that were given up.",
            .integer(telemetry.droppedBatches), &writer)
        one(
            "packet_agent_otlp_rejected_points_total", .counter, "Data points that the OTLP receiver refused.",
            .integer(telemetry.rejectedPoints), &writer)
        guard let last = telemetry.lastSuccess else { return }
        let milliseconds = now / 1_000_000
        one(
            "packet_agent_otlp_last_success_age_seconds", .gauge, "Seconds since the OTLP receiver last took a batch.",
            .number(Double(milliseconds - min(milliseconds, last)) / 1000), &writer)
    }

    private static func one(
        _ name: StaticString, _ type: MetricType, _ help: StaticString, _ value: PrometheusWriter.Value,
        _ writer: inout PrometheusWriter
    ) {
        writer.family(name, type, help)
        writer.sample(name, [], value)
    }
}
