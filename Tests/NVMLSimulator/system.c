/* Library and system: init, shutdown, versions, error texts. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "abi.h"
#include "simulator.h"

/* Touches every GPU, as the first nvmlInit did: one bad GPU makes it fail. */
EXPORT nvmlReturn_t nvmlInit(void)
{
    LIBRARY_CALL(nvmlInit)
    for (unsigned int i = 0; i < call.scenario->gpu_count; i++) {
        if (call.scenario->gpus[i].lost) {
            return NVML_ERROR_GPU_IS_LOST;
        }
    }
    return library_retain();
}

EXPORT nvmlReturn_t nvmlInit_v2(void)
{
    LIBRARY_CALL(nvmlInit_v2)
    return library_retain();
}

EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned int flags)
{
    LIBRARY_CALL(nvmlInitWithFlags)
    (void)flags;
    return library_retain();
}

EXPORT nvmlReturn_t nvmlShutdown(void)
{
    LIBRARY_CALL(nvmlShutdown)
    return library_release();
}

EXPORT const char *nvmlErrorString(nvmlReturn_t result)
{
    static const char *const texts[] = {
        "Success", "Uninitialized", "Invalid Argument", "Not Supported", "Insufficient Permissions",
        "Already Initialized", "Not Found", "Insufficient Size", "Insufficient External Power",
        "Driver Not Loaded", "Timeout", "Interrupt Request Issue", "NVML Shared Library Not Found",
        "Function Not Found", "Corrupted infoROM", "GPU is lost", "GPU requires reset",
        "GPU access blocked by the operating system", "Driver/library version mismatch", "In use by another client",
        "Insufficient Memory", "No data", "ECC not supported on this vGPU", "Insufficient resources",
        "Frequency not supported", "Argument version mismatch", "Deprecated", "Not ready", "No GPU found",
        "Invalid state", "Reset type not supported",
    };
    if (result >= 0 && (size_t)result < sizeof texts / sizeof *texts) {
        return texts[result];
    }
    return "Unknown Error";
}

EXPORT nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
    SYSTEM_CALL(nvmlSystemGetDriverVersion)
    return give_string(&call, call.scenario->driver_version, version, length);
}

EXPORT nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned int length)
{
    LIBRARY_CALL(nvmlSystemGetNVMLVersion)
    return give_string(&call, call.scenario->nvml_version, version, length);
}

static nvmlReturn_t cuda_version(const struct call *call, int *version)
{
    if (version == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    *version = (int)call->scenario->cuda_version;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version)
{
    SYSTEM_CALL(nvmlSystemGetCudaDriverVersion)
    return cuda_version(&call, version);
}

EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    SYSTEM_CALL(nvmlSystemGetCudaDriverVersion_v2)
    return cuda_version(&call, version);
}

EXPORT nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char *name, unsigned int length)
{
    SYSTEM_CALL(nvmlSystemGetProcessName)
    char link[64], target[4096];
    snprintf(link, sizeof link, "/proc/%u/exe", pid);
    ssize_t size = readlink(link, target, sizeof target - 1);
    if (size < 0) {
        return NVML_ERROR_NOT_FOUND;
    }
    target[size] = 0;
    return give_string(&call, target, name, length);
}
