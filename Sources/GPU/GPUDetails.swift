/// What changes slowly: health counters, links, processes. Looked at every few seconds, each device in another tick.
public struct GPUDetails: Sendable, Codable, Equatable {
    /// CLOCK_BOOTTIME in nanoseconds when the device was asked.
    public var asOf: UInt64
    /// Percent of the encoder's last sample period in which it worked.
    public var encoderPercent: Int?
    /// Percent of the decoder's last sample period in which it worked.
    public var decoderPercent: Int?
    /// The power limit in force, in milliwatts.
    public var powerLimitMilliwatts: UInt64?
    /// Corrected ECC errors since the driver was loaded.
    public var eccCorrected: UInt64?
    /// Corrected ECC errors over the board's life.
    public var eccCorrectedAggregate: UInt64?
    /// Uncorrected ECC errors over the board's life.
    public var eccUncorrectedAggregate: UInt64?
    /// Memory pages taken out of use for single-bit errors (before A100).
    public var retiredPagesSingleBit: UInt64?
    /// Memory pages taken out of use for double-bit errors (before A100).
    public var retiredPagesDoubleBit: UInt64?
    /// Whether a page is taken out of use with the next reset (before A100).
    public var isRetirementPending: Bool?
    /// Memory rows replaced by spare ones for corrected errors (A100 and newer).
    public var remappedRowsCorrectable: UInt64?
    /// Memory rows replaced by spare ones for uncorrected errors (A100 and newer).
    public var remappedRowsUncorrectable: UInt64?
    /// Whether a row is replaced with the next reset.
    public var isRemapPending: Bool?
    /// Whether replacing a row failed: the board must be exchanged.
    public var isRemapFailed: Bool?
    /// Nanoseconds since the driver was loaded in which clocks were held down, by cause.
    public var throttledNanoseconds: [String: UInt64]?
    /// PCIe packets sent again since the driver was loaded.
    public var pcieReplays: UInt64?
    /// Generation of the PCIe link now.
    public var pcieGeneration: Int?
    /// Lanes of the PCIe link now.
    public var pcieWidth: Int?
    /// NVLinks the GPU has.
    public var nvlinkCount: Int?
    /// Bytes sent over all NVLinks since the driver was loaded.
    public var nvlinkTransmittedBytes: UInt64?
    /// Bytes received over all NVLinks since the driver was loaded.
    public var nvlinkReceivedBytes: UInt64?
    /// Flow-control checksum errors of all NVLinks since the driver was loaded.
    public var nvlinkCRCFlitErrors: UInt64?
    /// Data checksum errors of all NVLinks since the driver was loaded.
    public var nvlinkCRCDataErrors: UInt64?
    /// Packets that all NVLinks sent again since the driver was loaded.
    public var nvlinkReplayErrors: UInt64?
    /// Recoveries of all NVLinks since the driver was loaded.
    public var nvlinkRecoveryErrors: UInt64?
    /// NVSwitch fabric: 0 not supported, 1 not started, 2 in progress, 3 completed.
    public var fabricState: Int?
    /// In a vGPU guest, whether it has a licence: without one it is slowed down.
    public var isVGPULicensed: Bool?
    /// Who uses the device, as far as the driver says.
    public var processes: [GPUProcess]?

    /// Nothing known.
    public init(asOf: UInt64) { self.asOf = asOf }

    enum CodingKeys: String, CodingKey {
        case processes
        case asOf = "as_of_boottime_ns"
        case encoderPercent = "encoder_percent"
        case decoderPercent = "decoder_percent"
        case powerLimitMilliwatts = "power_limit_milliwatts"
        case eccCorrected = "ecc_corrected"
        case eccCorrectedAggregate = "ecc_corrected_aggregate"
        case eccUncorrectedAggregate = "ecc_uncorrected_aggregate"
        case retiredPagesSingleBit = "retired_pages_single_bit"
        case retiredPagesDoubleBit = "retired_pages_double_bit"
        case isRetirementPending = "retirement_pending"
        case remappedRowsCorrectable = "remapped_rows_correctable"
        case remappedRowsUncorrectable = "remapped_rows_uncorrectable"
        case isRemapPending = "remap_pending"
        case isRemapFailed = "remap_failed"
        case throttledNanoseconds = "throttled_ns"
        case pcieReplays = "pcie_replays"
        case pcieGeneration = "pcie_generation"
        case pcieWidth = "pcie_width"
        case nvlinkCount = "nvlink_count"
        case nvlinkTransmittedBytes = "nvlink_transmitted_bytes"
        case nvlinkReceivedBytes = "nvlink_received_bytes"
        case nvlinkCRCFlitErrors = "nvlink_crc_flit_errors"
        case nvlinkCRCDataErrors = "nvlink_crc_data_errors"
        case nvlinkReplayErrors = "nvlink_replay_errors"
        case nvlinkRecoveryErrors = "nvlink_recovery_errors"
        case fabricState = "fabric_state"
        case isVGPULicensed = "vgpu_licensed"
    }
}
