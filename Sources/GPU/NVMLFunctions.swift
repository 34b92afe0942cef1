import CNVML
import Glibc

/// The functions of one loaded NVML, each nil when the driver lacks it.
struct NVMLFunctions {
    let initWithFlags: nvmlInitWithFlags_fn?
    let initV2: nvmlInit_v2_fn?
    let initV1: nvmlInit_fn?
    let shutdown: nvmlShutdown_fn?
    let driverVersion: nvmlSystemGetDriverVersion_fn?
    let nvmlVersion: nvmlSystemGetNVMLVersion_fn?
    let cudaVersionV2: nvmlSystemGetCudaDriverVersion_v2_fn?
    let cudaVersion: nvmlSystemGetCudaDriverVersion_fn?
    let count: nvmlDeviceGetCount_v2_fn?
    let handleByIndex: nvmlDeviceGetHandleByIndex_v2_fn?
    let countV1: nvmlDeviceGetCount_fn?
    let handleByIndexV1: nvmlDeviceGetHandleByIndex_fn?
    let uuid: nvmlDeviceGetUUID_fn?
    let name: nvmlDeviceGetName_fn?
    let pciInfo: nvmlDeviceGetPciInfo_v3_fn?
    let vbiosVersion: nvmlDeviceGetVbiosVersion_fn?
    let minorNumber: nvmlDeviceGetMinorNumber_fn?
    let migMode: nvmlDeviceGetMigMode_fn?
    let migCount: nvmlDeviceGetMaxMigDeviceCount_fn?
    let migHandle: nvmlDeviceGetMigDeviceHandleByIndex_fn?
    let gpuInstanceID: nvmlDeviceGetGpuInstanceId_fn?
    let computeInstanceID: nvmlDeviceGetComputeInstanceId_fn?
    let virtualizationMode: nvmlDeviceGetVirtualizationMode_fn?
    let licenceV4: nvmlDeviceGetGridLicensableFeatures_v4_fn?
    let licenceV3: nvmlDeviceGetGridLicensableFeatures_v3_fn?
    let memoryV2: nvmlDeviceGetMemoryInfo_v2_fn?
    let memory: nvmlDeviceGetMemoryInfo_fn?
    let utilization: nvmlDeviceGetUtilizationRates_fn?
    let samples: nvmlDeviceGetSamples_fn?
    let encoder: nvmlDeviceGetEncoderUtilization_fn?
    let decoder: nvmlDeviceGetDecoderUtilization_fn?
    let fields: nvmlDeviceGetFieldValues_fn?
    let power: nvmlDeviceGetPowerUsage_fn?
    let powerLimit: nvmlDeviceGetEnforcedPowerLimit_fn?
    let energy: nvmlDeviceGetTotalEnergyConsumption_fn?
    let temperatureV: nvmlDeviceGetTemperatureV_fn?
    let temperature: nvmlDeviceGetTemperature_fn?
    let clock: nvmlDeviceGetClockInfo_fn?
    let clockEventReasons: nvmlDeviceGetCurrentClocksEventReasons_fn?
    let clockThrottleReasons: nvmlDeviceGetCurrentClocksThrottleReasons_fn?
    let pcieGeneration: nvmlDeviceGetCurrPcieLinkGeneration_fn?
    let pcieWidth: nvmlDeviceGetCurrPcieLinkWidth_fn?
    let fabricV: nvmlDeviceGetGpuFabricInfoV_fn?
    let fabric: nvmlDeviceGetGpuFabricInfo_fn?
    let computeProcessesV3: nvmlDeviceGetComputeRunningProcesses_v3_fn?
    let computeProcessesV2: nvmlDeviceGetComputeRunningProcesses_v2_fn?
    let computeProcessesV1: nvmlDeviceGetComputeRunningProcesses_fn?
    let graphicsProcessesV3: nvmlDeviceGetGraphicsRunningProcesses_v3_fn?
    let graphicsProcessesV2: nvmlDeviceGetGraphicsRunningProcesses_v2_fn?
    let graphicsProcessesV1: nvmlDeviceGetGraphicsRunningProcesses_fn?
    let mpsProcessesV3: nvmlDeviceGetMPSComputeRunningProcesses_v3_fn?
    let mpsProcessesV2: nvmlDeviceGetMPSComputeRunningProcesses_v2_fn?
    let mpsProcessesV1: nvmlDeviceGetMPSComputeRunningProcesses_fn?
    let gpmSupport: nvmlGpmQueryDeviceSupport_fn?
    let gpmSampleAlloc: nvmlGpmSampleAlloc_fn?
    let gpmSampleFree: nvmlGpmSampleFree_fn?
    let gpmSampleGet: nvmlGpmSampleGet_fn?
    let gpmMigSampleGet: nvmlGpmMigSampleGet_fn?
    let gpmMetricsGet: nvmlGpmMetricsGet_fn?
    let eventSetCreate: nvmlEventSetCreate_fn?
    let eventTypes: nvmlDeviceGetSupportedEventTypes_fn?
    let registerEvents: nvmlDeviceRegisterEvents_fn?
    let eventWaitV2: nvmlEventSetWait_v2_fn?
    let eventWait: nvmlEventSetWait_fn?
    let eventSetFree: nvmlEventSetFree_fn?

    /// Looks every function up by the exact name that NVML exports.
    init(_ library: UnsafeMutableRawPointer) {
        // unsafe: dlsym's answer is cast to the function type that CNVML.h declares for exactly this symbol.
        func find<Function>(_ name: String, as type: Function.Type) -> Function? {
            dlsym(library, name).map { unsafeBitCast($0, to: type) }
        }
        initWithFlags = find("nvmlInitWithFlags", as: nvmlInitWithFlags_fn.self)
        initV2 = find("nvmlInit_v2", as: nvmlInit_v2_fn.self)
        initV1 = find("nvmlInit", as: nvmlInit_fn.self)
        shutdown = find("nvmlShutdown", as: nvmlShutdown_fn.self)
        driverVersion = find("nvmlSystemGetDriverVersion", as: nvmlSystemGetDriverVersion_fn.self)
        nvmlVersion = find("nvmlSystemGetNVMLVersion", as: nvmlSystemGetNVMLVersion_fn.self)
        cudaVersionV2 = find("nvmlSystemGetCudaDriverVersion_v2", as: nvmlSystemGetCudaDriverVersion_v2_fn.self)
        cudaVersion = find("nvmlSystemGetCudaDriverVersion", as: nvmlSystemGetCudaDriverVersion_fn.self)
        count = find("nvmlDeviceGetCount_v2", as: nvmlDeviceGetCount_v2_fn.self)
        handleByIndex = find("nvmlDeviceGetHandleByIndex_v2", as: nvmlDeviceGetHandleByIndex_v2_fn.self)
        countV1 = find("nvmlDeviceGetCount", as: nvmlDeviceGetCount_fn.self)
        handleByIndexV1 = find("nvmlDeviceGetHandleByIndex", as: nvmlDeviceGetHandleByIndex_fn.self)
        uuid = find("nvmlDeviceGetUUID", as: nvmlDeviceGetUUID_fn.self)
        name = find("nvmlDeviceGetName", as: nvmlDeviceGetName_fn.self)
        pciInfo = find("nvmlDeviceGetPciInfo_v3", as: nvmlDeviceGetPciInfo_v3_fn.self)
        vbiosVersion = find("nvmlDeviceGetVbiosVersion", as: nvmlDeviceGetVbiosVersion_fn.self)
        minorNumber = find("nvmlDeviceGetMinorNumber", as: nvmlDeviceGetMinorNumber_fn.self)
        migMode = find("nvmlDeviceGetMigMode", as: nvmlDeviceGetMigMode_fn.self)
        migCount = find("nvmlDeviceGetMaxMigDeviceCount", as: nvmlDeviceGetMaxMigDeviceCount_fn.self)
        migHandle = find("nvmlDeviceGetMigDeviceHandleByIndex", as: nvmlDeviceGetMigDeviceHandleByIndex_fn.self)
        gpuInstanceID = find("nvmlDeviceGetGpuInstanceId", as: nvmlDeviceGetGpuInstanceId_fn.self)
        computeInstanceID = find("nvmlDeviceGetComputeInstanceId", as: nvmlDeviceGetComputeInstanceId_fn.self)
        virtualizationMode = find("nvmlDeviceGetVirtualizationMode", as: nvmlDeviceGetVirtualizationMode_fn.self)
        licenceV4 = find("nvmlDeviceGetGridLicensableFeatures_v4", as: nvmlDeviceGetGridLicensableFeatures_v4_fn.self)
        licenceV3 = find("nvmlDeviceGetGridLicensableFeatures_v3", as: nvmlDeviceGetGridLicensableFeatures_v3_fn.self)
        memoryV2 = find("nvmlDeviceGetMemoryInfo_v2", as: nvmlDeviceGetMemoryInfo_v2_fn.self)
        memory = find("nvmlDeviceGetMemoryInfo", as: nvmlDeviceGetMemoryInfo_fn.self)
        utilization = find("nvmlDeviceGetUtilizationRates", as: nvmlDeviceGetUtilizationRates_fn.self)
        samples = find("nvmlDeviceGetSamples", as: nvmlDeviceGetSamples_fn.self)
        encoder = find("nvmlDeviceGetEncoderUtilization", as: nvmlDeviceGetEncoderUtilization_fn.self)
        decoder = find("nvmlDeviceGetDecoderUtilization", as: nvmlDeviceGetDecoderUtilization_fn.self)
        fields = find("nvmlDeviceGetFieldValues", as: nvmlDeviceGetFieldValues_fn.self)
        power = find("nvmlDeviceGetPowerUsage", as: nvmlDeviceGetPowerUsage_fn.self)
        powerLimit = find("nvmlDeviceGetEnforcedPowerLimit", as: nvmlDeviceGetEnforcedPowerLimit_fn.self)
        energy = find("nvmlDeviceGetTotalEnergyConsumption", as: nvmlDeviceGetTotalEnergyConsumption_fn.self)
        temperatureV = find("nvmlDeviceGetTemperatureV", as: nvmlDeviceGetTemperatureV_fn.self)
        temperature = find("nvmlDeviceGetTemperature", as: nvmlDeviceGetTemperature_fn.self)
        clock = find("nvmlDeviceGetClockInfo", as: nvmlDeviceGetClockInfo_fn.self)
        clockEventReasons = find(
            "nvmlDeviceGetCurrentClocksEventReasons", as: nvmlDeviceGetCurrentClocksEventReasons_fn.self)
        clockThrottleReasons = find(
            "nvmlDeviceGetCurrentClocksThrottleReasons", as: nvmlDeviceGetCurrentClocksThrottleReasons_fn.self)
        pcieGeneration = find("nvmlDeviceGetCurrPcieLinkGeneration", as: nvmlDeviceGetCurrPcieLinkGeneration_fn.self)
        pcieWidth = find("nvmlDeviceGetCurrPcieLinkWidth", as: nvmlDeviceGetCurrPcieLinkWidth_fn.self)
        fabricV = find("nvmlDeviceGetGpuFabricInfoV", as: nvmlDeviceGetGpuFabricInfoV_fn.self)
        fabric = find("nvmlDeviceGetGpuFabricInfo", as: nvmlDeviceGetGpuFabricInfo_fn.self)
        computeProcessesV3 = find(
            "nvmlDeviceGetComputeRunningProcesses_v3", as: nvmlDeviceGetComputeRunningProcesses_v3_fn.self)
        computeProcessesV2 = find(
            "nvmlDeviceGetComputeRunningProcesses_v2", as: nvmlDeviceGetComputeRunningProcesses_v2_fn.self)
        computeProcessesV1 = find(
            "nvmlDeviceGetComputeRunningProcesses", as: nvmlDeviceGetComputeRunningProcesses_fn.self)
        graphicsProcessesV3 = find(
            "nvmlDeviceGetGraphicsRunningProcesses_v3", as: nvmlDeviceGetGraphicsRunningProcesses_v3_fn.self)
        graphicsProcessesV2 = find(
            "nvmlDeviceGetGraphicsRunningProcesses_v2", as: nvmlDeviceGetGraphicsRunningProcesses_v2_fn.self)
        graphicsProcessesV1 = find(
            "nvmlDeviceGetGraphicsRunningProcesses", as: nvmlDeviceGetGraphicsRunningProcesses_fn.self)
        mpsProcessesV3 = find(
            "nvmlDeviceGetMPSComputeRunningProcesses_v3", as: nvmlDeviceGetMPSComputeRunningProcesses_v3_fn.self)
        mpsProcessesV2 = find(
            "nvmlDeviceGetMPSComputeRunningProcesses_v2", as: nvmlDeviceGetMPSComputeRunningProcesses_v2_fn.self)
        mpsProcessesV1 = find(
            "nvmlDeviceGetMPSComputeRunningProcesses", as: nvmlDeviceGetMPSComputeRunningProcesses_fn.self)
        gpmSupport = find("nvmlGpmQueryDeviceSupport", as: nvmlGpmQueryDeviceSupport_fn.self)
        gpmSampleAlloc = find("nvmlGpmSampleAlloc", as: nvmlGpmSampleAlloc_fn.self)
        gpmSampleFree = find("nvmlGpmSampleFree", as: nvmlGpmSampleFree_fn.self)
        gpmSampleGet = find("nvmlGpmSampleGet", as: nvmlGpmSampleGet_fn.self)
        gpmMigSampleGet = find("nvmlGpmMigSampleGet", as: nvmlGpmMigSampleGet_fn.self)
        gpmMetricsGet = find("nvmlGpmMetricsGet", as: nvmlGpmMetricsGet_fn.self)
        eventSetCreate = find("nvmlEventSetCreate", as: nvmlEventSetCreate_fn.self)
        eventTypes = find("nvmlDeviceGetSupportedEventTypes", as: nvmlDeviceGetSupportedEventTypes_fn.self)
        registerEvents = find("nvmlDeviceRegisterEvents", as: nvmlDeviceRegisterEvents_fn.self)
        eventWaitV2 = find("nvmlEventSetWait_v2", as: nvmlEventSetWait_v2_fn.self)
        eventWait = find("nvmlEventSetWait", as: nvmlEventSetWait_fn.self)
        eventSetFree = find("nvmlEventSetFree", as: nvmlEventSetFree_fn.self)
    }

    /// The name of a function without which nothing can be done, or nil.
    var missingCore: String? {
        if initWithFlags == nil && initV2 == nil && initV1 == nil { return "nvmlInit_v2" }
        if shutdown == nil { return "nvmlShutdown" }
        if count == nil && countV1 == nil { return "nvmlDeviceGetCount_v2" }
        if handleByIndex == nil && handleByIndexV1 == nil { return "nvmlDeviceGetHandleByIndex_v2" }
        if uuid == nil { return "nvmlDeviceGetUUID" }
        return nil
    }
}
