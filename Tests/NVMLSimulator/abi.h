/* Declares every function the agent looks up with the type the agent calls it by: a definition here
   that differs from it does not compile. */
#ifndef ABI_H
#define ABI_H

#include "CNVML.h"

#define SAME(name) extern __typeof__(*(name##_fn)0) name;
SAME(nvmlInitWithFlags)
SAME(nvmlInit_v2)
SAME(nvmlShutdown)
SAME(nvmlErrorString)
SAME(nvmlSystemGetDriverVersion)
SAME(nvmlSystemGetNVMLVersion)
SAME(nvmlSystemGetCudaDriverVersion_v2)
SAME(nvmlSystemGetCudaDriverVersion)
SAME(nvmlDeviceGetCount_v2)
SAME(nvmlDeviceGetHandleByIndex_v2)
SAME(nvmlDeviceGetHandleByUUID)
SAME(nvmlDeviceGetUUID)
SAME(nvmlDeviceGetName)
SAME(nvmlDeviceGetPciInfo_v3)
SAME(nvmlDeviceGetMemoryInfo_v2)
SAME(nvmlDeviceGetMemoryInfo)
SAME(nvmlDeviceGetUtilizationRates)
SAME(nvmlDeviceGetPowerUsage)
SAME(nvmlDeviceGetTotalEnergyConsumption)
SAME(nvmlDeviceGetTemperatureV)
SAME(nvmlDeviceGetTemperature)
SAME(nvmlDeviceGetClockInfo)
SAME(nvmlDeviceGetCurrentClocksEventReasons)
SAME(nvmlDeviceGetCurrentClocksThrottleReasons)
SAME(nvmlDeviceGetTotalEccErrors)
SAME(nvmlDeviceGetMemoryErrorCounter)
SAME(nvmlDeviceGetFieldValues)
SAME(nvmlDeviceGetSamples)
SAME(nvmlDeviceGetMigMode)
SAME(nvmlDeviceGetMaxMigDeviceCount)
SAME(nvmlDeviceGetMigDeviceHandleByIndex)
SAME(nvmlDeviceIsMigDeviceHandle)
SAME(nvmlDeviceGetDeviceHandleFromMigDeviceHandle)
SAME(nvmlDeviceGetGpuInstanceId)
SAME(nvmlDeviceGetComputeInstanceId)
SAME(nvmlDeviceGetAttributes_v2)
SAME(nvmlEventSetCreate)
SAME(nvmlDeviceGetSupportedEventTypes)
SAME(nvmlDeviceRegisterEvents)
SAME(nvmlEventSetWait_v2)
SAME(nvmlEventSetWait)
SAME(nvmlEventSetFree)
#undef SAME

#endif
