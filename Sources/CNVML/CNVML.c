/* The layouts that every NVML on 64-bit Linux shares. A change of CNVML.h that breaks one does not compile. */
#include "CNVML.h"

#include <stddef.h>

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has the wrong size")
#define AT(type, member, offset) _Static_assert(offsetof(type, member) == (offset), #type "." #member " has moved")
#define VERSIONED(type, constant, number) \
    _Static_assert((constant) == (sizeof(type) | ((unsigned int)(number) << 24)), #constant " does not match " #type)

SIZE(nvmlDevice_t, 8);
SIZE(nvmlEventSet_t, 8);
SIZE(nvmlReturn_t, 4);
SIZE(nvmlValue_t, 8);

SIZE(nvmlMemory_t, 24);
AT(nvmlMemory_t, free, 8);
AT(nvmlMemory_t, used, 16);

SIZE(nvmlMemory_v2_t, 40);
AT(nvmlMemory_v2_t, total, 8);
AT(nvmlMemory_v2_t, reserved, 16);
AT(nvmlMemory_v2_t, free, 24);
AT(nvmlMemory_v2_t, used, 32);
VERSIONED(nvmlMemory_v2_t, nvmlMemory_v2, 2);

SIZE(nvmlBAR1Memory_t, 24);
AT(nvmlBAR1Memory_t, bar1Free, 8);
AT(nvmlBAR1Memory_t, bar1Used, 16);

SIZE(nvmlUtilization_t, 8);
AT(nvmlUtilization_t, memory, 4);

SIZE(nvmlPciInfo_t, 68);
AT(nvmlPciInfo_t, domain, 16);
AT(nvmlPciInfo_t, bus, 20);
AT(nvmlPciInfo_t, device, 24);
AT(nvmlPciInfo_t, pciDeviceId, 28);
AT(nvmlPciInfo_t, pciSubSystemId, 32);
AT(nvmlPciInfo_t, busId, 36);

SIZE(nvmlPciInfoExt_v1_t, 64);
AT(nvmlPciInfoExt_v1_t, domain, 4);
AT(nvmlPciInfoExt_v1_t, bus, 8);
AT(nvmlPciInfoExt_v1_t, device, 12);
AT(nvmlPciInfoExt_v1_t, pciDeviceId, 16);
AT(nvmlPciInfoExt_v1_t, pciSubSystemId, 20);
AT(nvmlPciInfoExt_v1_t, baseClass, 24);
AT(nvmlPciInfoExt_v1_t, subClass, 28);
AT(nvmlPciInfoExt_v1_t, busId, 32);
VERSIONED(nvmlPciInfoExt_v1_t, nvmlPciInfoExt_v1, 1);

SIZE(nvmlProcessInfo_v1_t, 16);
AT(nvmlProcessInfo_v1_t, usedGpuMemory, 8);

SIZE(nvmlProcessInfo_v2_t, 24);
AT(nvmlProcessInfo_v2_t, usedGpuMemory, 8);
AT(nvmlProcessInfo_v2_t, gpuInstanceId, 16);
AT(nvmlProcessInfo_v2_t, computeInstanceId, 20);

SIZE(nvmlProcessInfo_r535_43_t, 32);
AT(nvmlProcessInfo_r535_43_t, usedGpuMemory, 8);
AT(nvmlProcessInfo_r535_43_t, gpuInstanceId, 16);
AT(nvmlProcessInfo_r535_43_t, computeInstanceId, 20);
AT(nvmlProcessInfo_r535_43_t, usedGpuCcProtectedMemory, 24);

SIZE(nvmlProcessDetail_v1_t, 32);
AT(nvmlProcessDetail_v1_t, usedGpuMemory, 8);
AT(nvmlProcessDetail_v1_t, gpuInstanceId, 16);
AT(nvmlProcessDetail_v1_t, computeInstanceId, 20);
AT(nvmlProcessDetail_v1_t, usedGpuCcProtectedMemory, 24);

SIZE(nvmlProcessDetailList_v1_t, 24);
AT(nvmlProcessDetailList_v1_t, mode, 4);
AT(nvmlProcessDetailList_v1_t, numProcArrayEntries, 8);
AT(nvmlProcessDetailList_v1_t, procArray, 16);
VERSIONED(nvmlProcessDetailList_v1_t, nvmlProcessDetailList_v1, 1);

SIZE(nvmlProcessUtilizationSample_t, 32);
AT(nvmlProcessUtilizationSample_t, timeStamp, 8);
AT(nvmlProcessUtilizationSample_t, smUtil, 16);
AT(nvmlProcessUtilizationSample_t, memUtil, 20);
AT(nvmlProcessUtilizationSample_t, encUtil, 24);
AT(nvmlProcessUtilizationSample_t, decUtil, 28);

SIZE(nvmlProcessUtilizationInfo_v1_t, 40);
AT(nvmlProcessUtilizationInfo_v1_t, pid, 8);
AT(nvmlProcessUtilizationInfo_v1_t, smUtil, 12);
AT(nvmlProcessUtilizationInfo_v1_t, memUtil, 16);
AT(nvmlProcessUtilizationInfo_v1_t, encUtil, 20);
AT(nvmlProcessUtilizationInfo_v1_t, decUtil, 24);
AT(nvmlProcessUtilizationInfo_v1_t, jpgUtil, 28);
AT(nvmlProcessUtilizationInfo_v1_t, ofaUtil, 32);

SIZE(nvmlProcessesUtilizationInfo_v1_t, 24);
AT(nvmlProcessesUtilizationInfo_v1_t, processSamplesCount, 4);
AT(nvmlProcessesUtilizationInfo_v1_t, lastSeenTimeStamp, 8);
AT(nvmlProcessesUtilizationInfo_v1_t, procUtilArray, 16);
VERSIONED(nvmlProcessesUtilizationInfo_v1_t, nvmlProcessesUtilizationInfo_v1, 1);

SIZE(nvmlFieldValue_t, 40);
AT(nvmlFieldValue_t, scopeId, 4);
AT(nvmlFieldValue_t, timestamp, 8);
AT(nvmlFieldValue_t, latencyUsec, 16);
AT(nvmlFieldValue_t, valueType, 24);
AT(nvmlFieldValue_t, nvmlReturn, 28);
AT(nvmlFieldValue_t, value, 32);

SIZE(nvmlSample_t, 16);
AT(nvmlSample_t, sampleValue, 8);

SIZE(nvmlEventData_t, 32);
AT(nvmlEventData_t, eventType, 8);
AT(nvmlEventData_t, eventData, 16);
AT(nvmlEventData_t, gpuInstanceId, 24);
AT(nvmlEventData_t, computeInstanceId, 28);

SIZE(nvmlDeviceAttributes_t, 40);
AT(nvmlDeviceAttributes_t, gpuInstanceSliceCount, 24);
AT(nvmlDeviceAttributes_t, computeInstanceSliceCount, 28);
AT(nvmlDeviceAttributes_t, memorySizeMB, 32);

SIZE(nvmlGpuInstanceInfo_t, 24);
AT(nvmlGpuInstanceInfo_t, id, 8);
AT(nvmlGpuInstanceInfo_t, profileId, 12);
AT(nvmlGpuInstanceInfo_t, placement, 16);

SIZE(nvmlComputeInstanceInfo_t, 32);
AT(nvmlComputeInstanceInfo_t, gpuInstance, 8);
AT(nvmlComputeInstanceInfo_t, id, 16);
AT(nvmlComputeInstanceInfo_t, profileId, 20);
AT(nvmlComputeInstanceInfo_t, placement, 24);

SIZE(nvmlRowRemapperHistogramValues_t, 20);
AT(nvmlRowRemapperHistogramValues_t, none, 16);

SIZE(nvmlEccSramErrorStatus_v1_t, 104);
AT(nvmlEccSramErrorStatus_v1_t, aggregateUncParity, 8);
AT(nvmlEccSramErrorStatus_v1_t, aggregateCor, 24);
AT(nvmlEccSramErrorStatus_v1_t, volatileUncParity, 32);
AT(nvmlEccSramErrorStatus_v1_t, volatileCor, 48);
AT(nvmlEccSramErrorStatus_v1_t, aggregateUncBucketL2, 56);
AT(nvmlEccSramErrorStatus_v1_t, aggregateUncBucketOther, 88);
AT(nvmlEccSramErrorStatus_v1_t, bThresholdExceeded, 96);
VERSIONED(nvmlEccSramErrorStatus_v1_t, nvmlEccSramErrorStatus_v1, 1);

SIZE(nvmlViolationTime_t, 16);
AT(nvmlViolationTime_t, violationTime, 8);

SIZE(nvmlTemperature_v1_t, 12);
AT(nvmlTemperature_v1_t, sensorType, 4);
AT(nvmlTemperature_v1_t, temperature, 8);
VERSIONED(nvmlTemperature_v1_t, nvmlTemperature_v1, 1);

SIZE(nvmlMarginTemperature_v1_t, 8);
AT(nvmlMarginTemperature_v1_t, marginTemperature, 4);
VERSIONED(nvmlMarginTemperature_v1_t, nvmlMarginTemperature_v1, 1);

SIZE(nvmlAccountingStats_t, 56);
AT(nvmlAccountingStats_t, maxMemoryUsage, 8);
AT(nvmlAccountingStats_t, time, 16);
AT(nvmlAccountingStats_t, startTime, 24);
AT(nvmlAccountingStats_t, isRunning, 32);

SIZE(nvmlGpuFabricInfo_t, 28);
AT(nvmlGpuFabricInfo_t, state, 24);
SIZE(nvmlGpuFabricInfo_v2_t, 36);
VERSIONED(nvmlGpuFabricInfo_v2_t, nvmlGpuFabricInfo_v2, 2);
SIZE(nvmlGpuFabricInfo_v3_t, 40);
AT(nvmlGpuFabricInfo_v3_t, status, 20);
AT(nvmlGpuFabricInfo_v3_t, cliqueId, 24);
AT(nvmlGpuFabricInfo_v3_t, state, 28);
AT(nvmlGpuFabricInfo_v3_t, healthMask, 32);
AT(nvmlGpuFabricInfo_v3_t, healthSummary, 36);
VERSIONED(nvmlGpuFabricInfo_v3_t, nvmlGpuFabricInfo_v3, 3);

SIZE(nvmlGpmSupport_t, 8);
AT(nvmlGpmSupport_t, isSupportedDevice, 4);

SIZE(nvmlConfComputeMemSizeInfo_t, 16);

SIZE(nvmlGpmMetric_t, 40);
AT(nvmlGpmMetric_t, nvmlReturn, 4);
AT(nvmlGpmMetric_t, value, 8);
AT(nvmlGpmMetric_t, metricInfo, 16);
SIZE(nvmlGpmMetricsGet_t, 24 + 40 * 477);
AT(nvmlGpmMetricsGet_t, numMetrics, 4);
AT(nvmlGpmMetricsGet_t, sample1, 8);
AT(nvmlGpmMetricsGet_t, sample2, 16);
AT(nvmlGpmMetricsGet_t, metrics, 24);

SIZE(nvmlGridLicenseExpiry_t, 16);
SIZE(nvmlGridLicensableFeature_t, 284);
AT(nvmlGridLicensableFeature_t, featureState, 4);
AT(nvmlGridLicensableFeature_t, licenseInfo, 8);
AT(nvmlGridLicensableFeature_t, productName, 136);
AT(nvmlGridLicensableFeature_t, featureEnabled, 264);
AT(nvmlGridLicensableFeature_t, licenseExpiry, 268);
SIZE(nvmlGridLicensableFeatures_t, 860);
AT(nvmlGridLicensableFeatures_t, licensableFeaturesCount, 4);
AT(nvmlGridLicensableFeatures_t, gridLicensableFeatures, 8);
