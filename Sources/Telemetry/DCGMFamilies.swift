import GPU

/// One of dcgm-exporter's metrics: its name, type and help text, and where its value comes from.
struct DCGMFamily: Sendable {
    let name: StaticString
    let type: MetricType
    let help: StaticString
    /// nil where the device does not have it: then there is no line, as in dcgm-exporter.
    let value: @Sendable (GPUDevice, GPUSample) -> PrometheusWriter.Value?

    /// Names, types and help of dcgm-exporter 4.6.0-4.8.3: etc/default-counters.csv and etc/dcp-metrics-included.csv, and what
    /// those have commented out and NVML can give.
    static let all: [DCGMFamily] = [
        .init("DCGM_FI_DEV_SM_CLOCK", .gauge, "SM clock frequency (in MHz).") { .whole($1.smClockMHz) },
        .init("DCGM_FI_DEV_MEM_CLOCK", .gauge, "Memory clock frequency (in MHz).") { .whole($1.memoryClockMHz) },
        .init("DCGM_FI_DEV_MEMORY_TEMP", .gauge, "Memory temperature (in C).") { .signed($1.memoryTemperatureCelsius) },
        .init("DCGM_FI_DEV_GPU_TEMP", .gauge, "GPU temperature (in C).") { .signed($1.temperatureCelsius) },
        .init("DCGM_FI_DEV_POWER_USAGE", .gauge, "Power draw (in W).") { .scaled($1.powerMilliwatts, 0.001) },
        .init("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", .counter, "Total energy consumption since boot (in mJ).") {
            .whole($1.energyMillijoules)
        },
        .init("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", .counter, "Total number of PCIe retries.") {
            .whole($1.details?.pcieReplays)
        },
        .init("DCGM_FI_DEV_GPU_UTIL", .gauge, "GPU utilization (in %).") { .whole($1.utilizationGPUPercent) },
        .init("DCGM_FI_DEV_MEM_COPY_UTIL", .gauge, "Memory utilization (in %).") {
            .whole($1.utilizationMemoryPercent)
        },
        .init("DCGM_FI_DEV_ENC_UTIL", .gauge, "Encoder utilization (in %).") { .whole($1.details?.encoderPercent) },
        .init("DCGM_FI_DEV_DEC_UTIL", .gauge, "Decoder utilization (in %).") { .whole($1.details?.decoderPercent) },
        .init("DCGM_FI_DEV_POWER_VIOLATION", .counter, "Throttling duration due to power constraints (in ns).") {
            .whole($1.details?.throttledNanoseconds?["power"])
        },
        .init("DCGM_FI_DEV_THERMAL_VIOLATION", .counter, "Throttling duration due to thermal constraints (in ns).") {
            .whole($1.details?.throttledNanoseconds?["thermal"])
        },
        .init(
            "DCGM_FI_DEV_SYNC_BOOST_VIOLATION", .counter, "Throttling duration due to sync-boost constraints (in ns)."
        ) {
            .whole($1.details?.throttledNanoseconds?["sync_boost"])
        },
        .init(
            "DCGM_FI_DEV_BOARD_LIMIT_VIOLATION", .counter, "Throttling duration due to board limit constraints (in ns)."
        ) {
            .whole($1.details?.throttledNanoseconds?["board_limit"])
        },
        .init("DCGM_FI_DEV_LOW_UTIL_VIOLATION", .counter, "Throttling duration due to low utilization (in ns).") {
            .whole($1.details?.throttledNanoseconds?["low_utilization"])
        },
        .init(
            "DCGM_FI_DEV_RELIABILITY_VIOLATION", .counter, "Throttling duration due to reliability constraints (in ns)."
        ) {
            .whole($1.details?.throttledNanoseconds?["reliability"])
        },
        .init("DCGM_FI_DEV_FB_FREE", .gauge, "Framebuffer memory free (in MiB).") { .mebibytes($1.memoryFreeBytes) },
        .init("DCGM_FI_DEV_FB_USED", .gauge, "Framebuffer memory used (in MiB).") { .mebibytes($1.memoryUsedBytes) },
        .init("DCGM_FI_DEV_FB_RESERVED", .gauge, "Framebuffer memory reserved (in MiB).") {
            .mebibytes($1.memoryReservedBytes)
        },
        .init("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", .counter, "Total number of single-bit volatile ECC errors.") {
            .whole($1.details?.eccCorrected)
        },
        .init("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", .counter, "Total number of double-bit volatile ECC errors.") {
            .whole($1.eccUncorrected)
        },
        .init("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", .counter, "Total number of single-bit persistent ECC errors.") {
            .whole($1.details?.eccCorrectedAggregate)
        },
        .init("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", .counter, "Total number of double-bit persistent ECC errors.") {
            .whole($1.details?.eccUncorrectedAggregate)
        },
        .init("DCGM_FI_DEV_RETIRED_SBE", .counter, "Total number of retired pages due to single-bit errors.") {
            .whole($1.details?.retiredPagesSingleBit)
        },
        .init("DCGM_FI_DEV_RETIRED_DBE", .counter, "Total number of retired pages due to double-bit errors.") {
            .whole($1.details?.retiredPagesDoubleBit)
        },
        .init("DCGM_FI_DEV_RETIRED_PENDING", .counter, "Total number of pages pending retirement.") {
            .flag($1.details?.isRetirementPending)
        },
        .init(
            "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", .counter, "Total number of NVLink flow-control CRC errors."
        ) {
            .whole($1.details?.nvlinkCRCFlitErrors)
        },
        .init("DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", .counter, "Total number of NVLink data CRC errors.") {
            .whole($1.details?.nvlinkCRCDataErrors)
        },
        .init("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", .counter, "Total number of NVLink retries.") {
            .whole($1.details?.nvlinkReplayErrors)
        },
        .init("DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", .counter, "Total number of NVLink recovery errors.") {
            .whole($1.details?.nvlinkRecoveryErrors)
        },
        .init(
            "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", .counter, "Total number of NVLink bandwidth counters for all lanes."
        ) { _, sample in
            guard let details = sample.details, let sent = details.nvlinkTransmittedBytes,
                let received = details.nvlinkReceivedBytes
            else { return nil }
            return .integer(sent / 1024 + received / 1024)
        },
        .init("DCGM_FI_DEV_VGPU_LICENSE_STATUS", .gauge, "vGPU License status") { .flag($1.details?.isVGPULicensed) },
        .init(
            "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", .counter, "Number of remapped rows for uncorrectable errors"
        ) { .whole($1.details?.remappedRowsUncorrectable) },
        .init("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", .counter, "Number of remapped rows for correctable errors") {
            .whole($1.details?.remappedRowsCorrectable)
        },
        .init("DCGM_FI_DEV_ROW_REMAP_FAILURE", .gauge, "Whether remapping of rows has failed") {
            .flag($1.details?.isRemapFailed)
        },
        .init("DCGM_FI_PROF_GR_ENGINE_ACTIVE", .gauge, "Ratio of time the graphics engine is active.") {
            .scaled($1.activity?.graphicsPercent, 0.01)
        },
        .init("DCGM_FI_PROF_SM_ACTIVE", .gauge, "The ratio of cycles an SM has at least 1 warp assigned.") {
            .scaled($1.activity?.smPercent, 0.01)
        },
        .init("DCGM_FI_PROF_SM_OCCUPANCY", .gauge, "The ratio of number of warps resident on an SM.") {
            .scaled($1.activity?.smOccupancyPercent, 0.01)
        },
        .init("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", .gauge, "Ratio of cycles the tensor (HMMA) pipe is active.") {
            .scaled($1.activity?.tensorPercent, 0.01)
        },
        .init(
            "DCGM_FI_PROF_DRAM_ACTIVE", .gauge,
            "Ratio of cycles the device memory interface is active sending or receiving data."
        ) { .scaled($1.activity?.dramPercent, 0.01) },
        .init("DCGM_FI_PROF_PIPE_FP64_ACTIVE", .gauge, "Ratio of cycles the fp64 pipes are active.") {
            .scaled($1.activity?.fp64Percent, 0.01)
        },
        .init("DCGM_FI_PROF_PIPE_FP32_ACTIVE", .gauge, "Ratio of cycles the fp32 pipes are active.") {
            .scaled($1.activity?.fp32Percent, 0.01)
        },
        .init("DCGM_FI_PROF_PIPE_FP16_ACTIVE", .gauge, "Ratio of cycles the fp16 pipes are active.") {
            .scaled($1.activity?.fp16Percent, 0.01)
        },
        .init(
            "DCGM_FI_PROF_PCIE_TX_BYTES", .gauge,
            "The rate of data transmitted over the PCIe bus (in bytes per second)."
        ) {
            .rate($1.activity?.pcieTransmitBytesPerSecond)
        },
        .init(
            "DCGM_FI_PROF_PCIE_RX_BYTES", .gauge, "The rate of data received over the PCIe bus (in bytes per second)."
        ) {
            .rate($1.activity?.pcieReceiveBytesPerSecond)
        },
        .init("DCGM_FI_PROF_NVLINK_TX_BYTES", .gauge, "The rate of data transmitted over NVLink (in bytes per second).")
        {
            .rate($1.activity?.nvlinkTransmitBytesPerSecond)
        },
        .init("DCGM_FI_PROF_NVLINK_RX_BYTES", .gauge, "The rate of data received over NVLink (in bytes per second).") {
            .rate($1.activity?.nvlinkReceiveBytesPerSecond)
        },
    ]

    init(
        _ name: StaticString, _ type: MetricType, _ help: StaticString,
        _ value: @escaping @Sendable (GPUDevice, GPUSample) -> PrometheusWriter.Value?
    ) {
        self.name = name
        self.type = type
        self.help = help
        self.value = value
    }
}

extension PrometheusWriter.Value {
    static func whole(_ value: Int?) -> Self? { value.flatMap { UInt64(exactly: $0) }.map { .integer($0) } }
    static func whole(_ value: UInt64?) -> Self? { value.map { .integer($0) } }
    /// Whole, and perhaps below zero.
    static func signed(_ value: Int?) -> Self? { value.map { $0 < 0 ? .number(Double($0)) : .integer(UInt64($0)) } }
    static func flag(_ value: Bool?) -> Self? { value.map { .integer($0 ? 1 : 0) } }
    static func mebibytes(_ value: UInt64?) -> Self? { value.map { .integer($0 >> 20) } }
    static func scaled(_ value: UInt64?, _ factor: Double) -> Self? { value.map { .number(Double($0) * factor) } }
    static func scaled(_ value: Double?, _ factor: Double) -> Self? { value.map { .number($0 * factor) } }
    static func rate(_ value: Double?) -> Self? { value.flatMap { UInt64(exactly: $0.rounded()) }.map { .integer($0) } }
}
