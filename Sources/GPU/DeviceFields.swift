import CNVML

extension DeviceReader {
    /// Read in one call each tick. These identifiers mean the same in every driver that has them; others do not (199, 200,
    /// 251 to 273).
    static let fastFields = [
        NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, NVML_FI_DEV_POWER_AVERAGE, NVML_FI_DEV_ECC_DBE_VOL_TOTAL,
        NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, NVML_FI_DEV_MEMORY_TEMP, NVML_FI_DEV_PCIE_COUNT_TX_BYTES,
        NVML_FI_DEV_PCIE_COUNT_RX_BYTES,
    ]

    /// Read with them in slow ticks.
    static let slowFields = [
        NVML_FI_DEV_ECC_SBE_VOL_TOTAL, NVML_FI_DEV_ECC_SBE_AGG_TOTAL, NVML_FI_DEV_ECC_DBE_AGG_TOTAL,
        NVML_FI_DEV_RETIRED_SBE, NVML_FI_DEV_RETIRED_DBE, NVML_FI_DEV_RETIRED_PENDING, NVML_FI_DEV_REMAPPED_COR,
        NVML_FI_DEV_REMAPPED_UNC, NVML_FI_DEV_REMAPPED_PENDING, NVML_FI_DEV_REMAPPED_FAILURE,
        NVML_FI_DEV_PERF_POLICY_POWER, NVML_FI_DEV_PERF_POLICY_THERMAL, NVML_FI_DEV_PERF_POLICY_SYNC_BOOST,
        NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT, NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION,
        NVML_FI_DEV_PERF_POLICY_RELIABILITY, NVML_FI_DEV_PCIE_REPLAY_COUNTER, NVML_FI_DEV_NVLINK_LINK_COUNT,
        NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX,
        NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
        NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL, NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
    ]

    /// For these the scope is the link; all ones is the sum of all (nvml.h).
    private static let perLink: Set<UInt32> = [
        NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX,
    ]

    private static let throttleNames: [UInt32: String] = [
        NVML_FI_DEV_PERF_POLICY_POWER: "power", NVML_FI_DEV_PERF_POLICY_THERMAL: "thermal",
        NVML_FI_DEV_PERF_POLICY_SYNC_BOOST: "sync_boost", NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT: "board_limit",
        NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION: "low_utilization", NVML_FI_DEV_PERF_POLICY_RELIABILITY: "reliability",
    ]

    func readFields(_ handle: nvmlDevice_t, _ sample: inout GPUSample, _ visit: Visit) {
        let isSlow = visit.context.isSlow || isFirst
        let identifiers = isSlow ? Self.fastFields + Self.slowFields : Self.fastFields
        let fields = UnsafeMutableBufferPointer(rebasing: visit.context.fields.prefix(identifiers.count))
        for index in fields.indices {
            fields[index] = nvmlFieldValue_t()
            fields[index].fieldId = identifiers[index]
            fields[index].scopeId = Self.perLink.contains(identifiers[index]) ? .max : 0
            fields[index].nvmlReturn = NVML_ERROR_NOT_SUPPORTED
        }
        let library = visit.library
        let answered: Void? = take(.fields, visit) {
            library.fields(handle, fields).map { .failure($0) } ?? .success(())
        }
        if answered != nil {
            var slow = GPUDetails(asOf: visit.context.now())
            for field in fields {
                guard let value = field.number else {
                    let failure = NVMLFailure(field.nvmlReturn)
                    if failure == .gpuIsLost || failure == .resetRequired { note(failure, [], visit) }
                    continue
                }
                put(field.fieldId, value, &sample, &slow)
            }
            if isSlow { details = slow }
        }
        if sample.powerMilliwatts == nil {
            sample.powerMilliwatts = take(.power, visit) { library.power(handle) }.map { UInt64($0) }
        }
        if sample.energyMillijoules == nil {
            sample.energyMillijoules = take(.energy, visit) { library.energy(handle) }.flatMap { $0 == .max ? nil : $0 }
        }
        if let power = sample.powerMilliwatts, power > Limits.milliwatts {
            sample.powerMilliwatts = nil
            visit.suspect.append("power_milliwatts")
        }
        if visit.isOver { return }
        count(&sample, visit)
    }

    private func put(_ field: UInt32, _ value: UInt64, _ sample: inout GPUSample, _ slow: inout GPUDetails) {
        let small = value <= UInt64(Int32.max) ? Int(value) : nil
        switch field {
        case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: sample.energyMillijoules = value
        case NVML_FI_DEV_POWER_AVERAGE: sample.powerMilliwatts = value
        case NVML_FI_DEV_ECC_DBE_VOL_TOTAL: sample.eccUncorrected = value
        case NVML_FI_DEV_GET_GPU_RECOVERY_ACTION: sample.recoveryAction = small.flatMap { $0 <= 0xFFFF ? $0 : nil }
        case NVML_FI_DEV_MEMORY_TEMP:
            // 0 is what drivers say where there is no sensor.
            sample.memoryTemperatureCelsius = small.flatMap { $0 > 0 && Limits.celsius.contains($0) ? $0 : nil }
        case NVML_FI_DEV_PCIE_COUNT_TX_BYTES: sample.pcieTransmittedBytes = value
        case NVML_FI_DEV_PCIE_COUNT_RX_BYTES: sample.pcieReceivedBytes = value
        case NVML_FI_DEV_ECC_SBE_VOL_TOTAL: slow.eccCorrected = value
        case NVML_FI_DEV_ECC_SBE_AGG_TOTAL: slow.eccCorrectedAggregate = value
        case NVML_FI_DEV_ECC_DBE_AGG_TOTAL: slow.eccUncorrectedAggregate = value
        case NVML_FI_DEV_RETIRED_SBE: slow.retiredPagesSingleBit = value
        case NVML_FI_DEV_RETIRED_DBE: slow.retiredPagesDoubleBit = value
        case NVML_FI_DEV_RETIRED_PENDING: slow.isRetirementPending = value != 0
        case NVML_FI_DEV_REMAPPED_COR: slow.remappedRowsCorrectable = value
        case NVML_FI_DEV_REMAPPED_UNC: slow.remappedRowsUncorrectable = value
        case NVML_FI_DEV_REMAPPED_PENDING: slow.isRemapPending = value != 0
        case NVML_FI_DEV_REMAPPED_FAILURE: slow.isRemapFailed = value != 0
        case NVML_FI_DEV_PCIE_REPLAY_COUNTER: slow.pcieReplays = value
        case NVML_FI_DEV_NVLINK_LINK_COUNT: slow.nvlinkCount = small
        case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX: slow.nvlinkTransmittedBytes = kibibytes(value)
        case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX: slow.nvlinkReceivedBytes = kibibytes(value)
        case NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL: slow.nvlinkCRCFlitErrors = value
        case NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL: slow.nvlinkCRCDataErrors = value
        case NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL: slow.nvlinkReplayErrors = value
        case NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL: slow.nvlinkRecoveryErrors = value
        default:
            if let name = Self.throttleNames[field] {
                slow.throttledNanoseconds = (slow.throttledNanoseconds ?? [:]).merging([name: value]) { $1 }
            }
        }
    }

    private func kibibytes(_ value: UInt64) -> UInt64? {
        let (bytes, overflow) = value.multipliedReportingOverflow(by: 1024)
        return overflow ? nil : bytes
    }

    /// Counters of the driver, carried on across its restarts.
    private func count(_ sample: inout GPUSample, _ visit: Visit) {
        let now = visit.context.now()
        if let energy = sample.energyMillijoules {
            // Watts times milliseconds are millijoules; a second more, because the counter moves in steps.
            let elapsed = history.energyAt.map { (now - min(now, $0)) / 1_000_000 + 1000 } ?? 0
            let watts = max(3000, (details?.powerLimitMilliwatts ?? 0) / 1000 * 3 / 2)
            let (most, overflow) = watts.multipliedReportingOverflow(by: elapsed)
            if !history.energy.take(energy, most: overflow ? .max : most) { visit.suspect.append("energy_millijoules") }
            history.energyAt = now
            sample.energyUsedMillijoules = history.energy.total
            sample.energyResets = history.energy.resets
        }
        if let bytes = sample.pcieTransmittedBytes {
            _ = history.pcieTransmitted.take(bytes)
            sample.pcieTransmittedBytes = history.pcieTransmitted.total
        }
        if let bytes = sample.pcieReceivedBytes {
            _ = history.pcieReceived.take(bytes)
            sample.pcieReceivedBytes = history.pcieReceived.total
        }
    }

    // MARK: slow ticks

    /// What changes slowly and is no field.
    func readDetails(_ handle: nvmlDevice_t, _ sample: GPUSample, _ visit: Visit) {
        let library = visit.library
        var slow =
            device.parentUUID == nil
            ? details ?? GPUDetails(asOf: visit.context.now()) : GPUDetails(asOf: visit.context.now())
        if device.parentUUID == nil {
            if let percent = take(.encoder, visit, { library.encoder(handle) }) {
                slow.encoderPercent = plausible(percent, 100, "encoder_percent", visit)
            }
            if let percent = take(.decoder, visit, { library.decoder(handle) }) {
                slow.decoderPercent = plausible(percent, 100, "decoder_percent", visit)
            }
            slow.powerLimitMilliwatts = take(.powerLimit, visit) { library.powerLimit(handle) }
                .flatMap { UInt64($0) <= Limits.milliwatts ? UInt64($0) : nil }
            if let megahertz = take(.memoryClock, visit, { library.clock(handle, NVML_CLOCK_MEM) }) {
                memoryClock = plausible(megahertz, Limits.megahertz, "memory_clock_mhz", visit)
            }
            slow.pcieGeneration = take(.pcieGeneration, visit) { library.pcieGeneration(handle) }
                .flatMap { $0 <= 64 ? Int($0) : nil }
            slow.pcieWidth = take(.pcieWidth, visit) { library.pcieWidth(handle) }.flatMap { $0 <= 64 ? Int($0) : nil }
            slow.fabricState = take(.fabric, visit) { library.fabricState(handle) }.map { Int($0) }
            if isVGPU == nil { isVGPU = (try? library.isVGPU(handle).get()) ?? false }
            if isVGPU == true { slow.isVGPULicensed = take(.licence, visit) { library.isLicensed(handle) } ?? nil }
        }
        if !device.isPartitioned { slow.processes = readProcesses(handle, visit) }
        if !visit.isOver { details = slow }
    }

    private func readProcesses(_ handle: nvmlDevice_t, _ visit: Visit) -> [GPUProcess]? {
        var found: [GPUProcess]?
        for (kind, reading) in [(GPUProcess.Kind.compute, Readings.compute), (.graphics, .graphics), (.mps, .mps)] {
            let library = visit.library
            let total = device.memoryTotalBytes
            guard let answer = take(reading, visit, { library.processes(handle, kind, memoryTotal: total) }) else {
                continue
            }
            guard let list = answer else {
                visit.suspect.append("processes")
                continue
            }
            attribution.begin(isFirst: isFirst, count: list.count)
            found =
                (found ?? [])
                + list.map {
                    GPUProcess(
                        pid: $0.pid, kind: kind, memoryBytes: $0.memory,
                        name: attribution.name($0.pid, in: visit.context.processDirectory))
                }
        }
        attribution.end(Set((found ?? []).lazy.map(\.pid)))
        return found
    }
}

extension nvmlFieldValue_t {
    /// The value as a whole number that is not negative, by the type the driver says it has; nil when it is none.
    var number: UInt64? { nvmlReturn == NVML_SUCCESS ? value.number(valueType) : nil }
}

extension nvmlValue_t {
    /// The value as a whole number that is not negative. All ones of an unsigned type is NVML's "not available".
    func number(_ type: Int32) -> UInt64? {
        switch type {
        case NVML_VALUE_TYPE_DOUBLE: dVal.isFinite ? UInt64(exactly: dVal.rounded()) : nil
        case NVML_VALUE_TYPE_UNSIGNED_INT: uiVal == .max ? nil : UInt64(uiVal)
        case NVML_VALUE_TYPE_UNSIGNED_LONG: ulVal == .max ? nil : UInt64(ulVal)
        case NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: ullVal == .max ? nil : ullVal
        case NVML_VALUE_TYPE_SIGNED_LONG_LONG: UInt64(exactly: sllVal)
        case NVML_VALUE_TYPE_SIGNED_INT: UInt64(exactly: siVal)
        case NVML_VALUE_TYPE_UNSIGNED_SHORT: UInt64(usVal)
        default: nil
        }
    }
}
