import CNVML

extension NVMLLibrary {
    /// The driver's utilization samples newer than `lastSeen` (wall clock, microseconds). NOT_FOUND where there are none.
    ///
    /// - Parameter buffer: holds as many as are wanted at most; the driver keeps those of some 20 seconds.
    /// - Returns: how many were written, and the type of their values.
    func samples(
        _ device: nvmlDevice_t, _ type: Int32, since lastSeen: UInt64,
        _ buffer: UnsafeMutableBufferPointer<nvmlSample_t>
    ) -> NVMLAnswer<(count: Int, type: Int32)> {
        var valueType: Int32 = NVML_VALUE_TYPE_UNSIGNED_INT
        return answer(.samples, UInt32(buffer.count)) {
            table.samples?(device, type, lastSeen, &valueType, &$0, buffer.baseAddress)
        }.map { (min(Int($0), buffer.count), valueType) }
    }

    /// Percent of the encoder's last sample period.
    func encoder(_ device: nvmlDevice_t) -> NVMLAnswer<UInt32> {
        var period: UInt32 = 0
        return answer(.encoder, UInt32(0)) { table.encoder?(device, &$0, &period) }
    }

    /// Percent of the decoder's last sample period.
    func decoder(_ device: nvmlDevice_t) -> NVMLAnswer<UInt32> {
        var period: UInt32 = 0
        return answer(.decoder, UInt32(0)) { table.decoder?(device, &$0, &period) }
    }

    /// Milliwatts.
    func powerLimit(_ device: nvmlDevice_t) -> NVMLAnswer<UInt32> {
        answer(.powerLimit, UInt32(0)) { table.powerLimit?(device, &$0) }
    }

    func pcieGeneration(_ device: nvmlDevice_t) -> NVMLAnswer<UInt32> {
        answer(.pcieGeneration, UInt32(0)) { table.pcieGeneration?(device, &$0) }
    }

    func pcieWidth(_ device: nvmlDevice_t) -> NVMLAnswer<UInt32> {
        answer(.pcieWidth, UInt32(0)) { table.pcieWidth?(device, &$0) }
    }

    /// 0 not supported, 1 not started, 2 in progress, 3 completed. Each older structure is tried in turn.
    func fabricState(_ device: nvmlDevice_t) -> NVMLAnswer<UInt8> {
        for version in [nvmlGpuFabricInfo_v3, nvmlGpuFabricInfo_v2] {
            var initial = nvmlGpuFabricInfo_v3_t()
            initial.version = version
            // Version 2 is the same but for its shorter end.
            let newer = answer(.fabric, initial) { table.fabricV?(device, &$0) }
            guard case .failure(let failure) = newer, failure.asksForFallback || failure == .invalidArgument else {
                return newer.map(\.state)
            }
        }
        return answer(.fabric, nvmlGpuFabricInfo_t()) { table.fabric?(device, &$0) }.map(\.state)
    }

    /// Whether this is a vGPU in a virtual machine.
    func isVGPU(_ device: nvmlDevice_t) -> NVMLAnswer<Bool> {
        answer(.virtualization, UInt32(0)) { table.virtualizationMode?(device, &$0) }
            .map { $0 == UInt32(NVML_GPU_VIRTUALIZATION_MODE_VGPU) }
    }

    /// Whether any feature of the vGPU software has a licence; nil where none needs one.
    func isLicensed(_ device: nvmlDevice_t) -> NVMLAnswer<Bool?> {
        var answer = answer(.licence, nvmlGridLicensableFeatures_t()) { table.licenceV4?(device, &$0) }
        if case .failure(let failure) = answer, failure.asksForFallback {
            answer = self.answer(.licence, nvmlGridLicensableFeatures_t()) { table.licenceV3?(device, &$0) }
        }
        return answer.map { features in
            guard features.isGridLicenseSupported != 0 else { return nil }
            let all = [
                features.gridLicensableFeatures.0, features.gridLicensableFeatures.1, features.gridLicensableFeatures.2,
            ]
            return all.prefix(Int(min(features.licensableFeaturesCount, 3))).contains { $0.featureState != 0 }
        }
    }

    // MARK: profiling (GPM)

    func supportsProfiling(_ device: nvmlDevice_t) -> NVMLAnswer<Bool> {
        answer(.profilingSupport, nvmlGpmSupport_t(version: nvmlGpmSupport_v1, isSupportedDevice: 0)) {
            table.gpmSupport?(device, &$0)
        }.map { $0.isSupportedDevice != 0 }
    }

    func allocateProfilingSample() -> NVMLAnswer<nvmlGpmSample_t> {
        switch answer(.profilingAllocate, nvmlGpmSample_t?.none, { table.gpmSampleAlloc?(&$0) }) {
        case .success(let sample?): .success(sample)
        case .success(nil): .failure(.notFound)
        case .failure(let failure): .failure(failure)
        }
    }

    func freeProfilingSample(_ sample: nvmlGpmSample_t) { _ = call(.profilingFree) { table.gpmSampleFree?(sample) } }

    /// Takes the counters of a GPU, or of the GPU instance `instance` of the GPU.
    func takeProfilingSample(_ device: nvmlDevice_t, instance: UInt32?, into sample: nvmlGpmSample_t) -> NVMLFailure? {
        guard let instance else { return call(.profilingSample) { table.gpmSampleGet?(device, sample) } }
        return call(.profilingSample) { table.gpmMigSampleGet?(device, instance, sample) }
    }

    /// Computes what happened between two samples of one device; talks to no hardware.
    func profilingMetrics(_ metrics: UnsafeMutablePointer<nvmlGpmMetricsGet_t>) -> NVMLFailure? {
        call(.profilingMetrics) { table.gpmMetricsGet?(metrics) }
    }
}
