import GPU
import Testing

@testable import Telemetry

@Suite struct PrometheusTests {
    private let exposition = PrometheusExposition(hostname: "pod-1", version: "0.1.0")

    private func text(_ snapshot: GPUSnapshot, _ exposition: PrometheusExposition? = nil) -> String {
        String(decoding: (exposition ?? self.exposition).render(snapshot, now: 1_500_000_000), as: UTF8.self)
    }

    @Test func theTextIsAsReviewed() throws {
        try Golden.expect(exposition.render(Snapshots.full, now: 1_500_000_000), "metrics.prom")
        try Golden.expect(exposition.render(Snapshots.split, now: 1_500_000_000), "metrics-mig.prom")
        let none = GPUSnapshot(state: .noLibrary, reason: "no such file")
        try Golden.expect(exposition.render(none, now: 1_500_000_000), "metrics-no-gpu.prom")
    }

    /// dcgm-exporter 4.6.0-4.8.3, etc/default-counters.csv: what it exports unless told otherwise.
    @Test(arguments: [
        "DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_MEM_CLOCK", "DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_GPU_TEMP",
        "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
        "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_MEM_COPY_UTIL", "DCGM_FI_DEV_ENC_UTIL", "DCGM_FI_DEV_DEC_UTIL",
        "DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
        "DCGM_FI_DEV_VGPU_LICENSE_STATUS", "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_ROW_REMAP_FAILURE",
    ]) func theDefaultCountersOfDCGMExporterAreThere(_ name: String) {
        #expect(text(Snapshots.full).contains("\n\(name){gpu=\"0\",UUID=\"\(Snapshots.uuid)\""))
    }

    /// The queries of Grafana dashboard 12239 (NVIDIA/dcgm-exporter, grafana/dcgm-exporter-dashboard.json).
    @Test(arguments: [
        "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_GPU_UTIL",
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_FB_USED", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
    ]) func whatDashboard12239AsksForHasData(_ name: String) throws {
        let line = try #require(text(Snapshots.full).split(separator: "\n").first { $0.hasPrefix(name + "{") })
        // Its filters and groupings.
        for label in ["gpu=\"0\"", "Hostname=\"pod-1\"", "UUID="] { #expect(line.contains(label)) }
    }

    @Test func aValueThatIsNotThereHasNoLineAndNoFamily() {
        let text = text(Snapshots.split)
        #expect(!text.contains("DCGM_FI_DEV_GPU_UTIL"))
        #expect(!text.contains("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"))
        #expect(text.contains("DCGM_FI_DEV_GPU_TEMP{gpu=\"0\""))
    }

    @Test func everySeriesIsThereOnce() {
        for snapshot in [Snapshots.full, Snapshots.split, Snapshots.eight()] {
            let series = text(snapshot).split(separator: "\n").filter { !$0.hasPrefix("#") }
                .map { $0.prefix(upTo: $0.lastIndex(of: " ") ?? $0.endIndex) }
            #expect(Set(series).count == series.count)
        }
    }

    @Test func labelsAreEscapedAndSpelledAsConfigured() {
        #expect(text(Snapshots.full).contains(#"modelName="NVIDIA \"H100\" \\ 80GB""#))
        var spelling = LabelSpelling()
        spelling.uuid = "uuid"
        spelling.hostname = "hostname"
        spelling.driverVersion = ""
        let text = text(Snapshots.full, PrometheusExposition(spelling: spelling, hostname: "a\nb", version: "1"))
        #expect(text.contains("uuid=\"\(Snapshots.uuid)\"") && !text.contains("UUID="))
        #expect(text.contains(#"hostname="a\nb""#) && !text.contains("DCGM_FI_DRIVER_VERSION"))
    }

    @Test func numbersAreWrittenAsDCGMExporterWritesThem() {
        var writer = PrometheusWriter(capacity: 0)
        let values: [PrometheusWriter.Value] = [
            .integer(0), .integer(.max), .number(0), .number(456.789), .number(-0.5), .number(1.9999999), .number(1e18),
            .number(.nan), .number(.infinity),
        ]
        for value in values { writer.sample("m", [], value) }
        #expect(
            String(decoding: writer.bytes, as: UTF8.self).split(separator: "\n").map { $0.dropFirst(2) } == [
                "0", "18446744073709551615", "0.000000", "456.789000", "-0.500000", "2.000000", "1e+18", "NaN", "+Inf",
            ])
    }

    @Test func ofALostGPUOnlyItsStateIsTold() {
        let text = text(Snapshots.split)
        #expect(text.contains("packet_agent_gpu_up{gpu=\"1\",uuid=\"GPU-00000000-0000-0000-0000-000000000001\"} 0\n"))
        #expect(text.contains("state=\"lost\"} 1\n"))
        #expect(!text.contains("DCGM_FI_DEV_GPU_TEMP{gpu=\"1\""))
    }

    @Test func whileNVMLHangsTheRestIsStillTold() {
        var snapshot = Snapshots.full
        snapshot.state = .hung
        let text = text(snapshot)
        #expect(text.contains("packet_agent_nvml_state{state=\"hung\"} 1\n"))
        #expect(text.contains("packet_agent_gpu_sample_age_seconds 0.500000\n"))
        #expect(!text.contains("DCGM_FI_DEV_GPU_TEMP"), "a reading of the past")
        #expect(text.contains("packet_agent_gpu_up{gpu=\"0\",uuid=\"\(Snapshots.uuid)\"} 0\n"))
        #expect(text.contains("packet_agent_gpu_xid_errors_total{"))
    }
}
