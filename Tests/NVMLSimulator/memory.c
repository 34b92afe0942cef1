/* Memory and its health. */
#include <string.h>

#include "abi.h"
#include "simulator.h"

struct memory {
    uint64_t total, reserved, used, free;
};

static nvmlReturn_t memory_of(const struct call *call, struct memory *memory)
{
    uint64_t total = call->mig != NULL ? call->mig->memory_total_mib : call->gpu->memory_total_mib;
    uint64_t used = call->mig != NULL ? call->mig->memory_used_mib : call->gpu->memory_used_mib;
    uint64_t reserved = call->mig != NULL ? 0 : call->gpu->memory_reserved_mib;
    if (total == UNSUPPORTED || used == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    reserved = reserved == UNSUPPORTED ? 0 : reserved;
    memory->total = total * MIB;
    memory->used = used * MIB;
    memory->reserved = reserved * MIB;
    memory->free = total > used + reserved ? (total - used - reserved) * MIB : 0;
    return NVML_SUCCESS;
}

/* From R510 on, the first version counts what the driver reserves as used. */
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    DEVICE_CALL(nvmlDeviceGetMemoryInfo, device)
    struct memory now = {0};
    nvmlReturn_t result = memory == NULL ? NVML_ERROR_INVALID_ARGUMENT : memory_of(&call, &now);
    if (result == NVML_SUCCESS) {
        uint64_t extra = call.scenario->level >= R510 ? now.reserved : 0;
        *memory = (nvmlMemory_t){.total = now.total, .used = now.used + extra,
                                 .free = now.free + (now.reserved - extra)};
    }
    return result;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    DEVICE_CALL(nvmlDeviceGetMemoryInfo_v2, device)
    struct memory now = {0};
    nvmlReturn_t result = memory == NULL                    ? NVML_ERROR_INVALID_ARGUMENT
                          : memory->version != nvmlMemory_v2 ? NVML_ERROR_ARGUMENT_VERSION_MISMATCH
                                                             : memory_of(&call, &now);
    if (result == NVML_SUCCESS) {
        *memory = (nvmlMemory_v2_t){.version = nvmlMemory_v2, .total = now.total, .reserved = now.reserved,
                                    .free = now.free, .used = now.used};
    }
    return result;
}

EXPORT nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *memory)
{
    DEVICE_CALL(nvmlDeviceGetBAR1MemoryInfo, device)
    uint64_t total = call.gpu->bar1_total_mib, used = call.gpu->bar1_used_mib;
    if (memory == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (total == UNSUPPORTED || used == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    *memory = (nvmlBAR1Memory_t){.bar1Total = total * MIB, .bar1Used = used * MIB,
                                 .bar1Free = total > used ? (total - used) * MIB : 0};
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending)
{
    GPU_CALL(nvmlDeviceGetEccMode, device)
    nvmlReturn_t result = give_uint(call.gpu->ecc_mode, current);
    return result != NVML_SUCCESS ? result : give_uint(call.gpu->ecc_mode, pending);
}

static uint64_t ecc_count(const struct gpu *gpu, int type, int counter)
{
    if (gpu->ecc_mode != 1) {
        return UNSUPPORTED;
    }
    if (type == NVML_MEMORY_ERROR_TYPE_CORRECTED) {
        return counter == NVML_VOLATILE_ECC ? gpu->ecc_corrected_volatile : gpu->ecc_corrected_aggregate;
    }
    return counter == NVML_VOLATILE_ECC ? gpu->ecc_uncorrected_volatile : gpu->ecc_uncorrected_aggregate;
}

static bool ecc_arguments(int type, int counter)
{
    return (type == 0 || type == 1) && (counter == 0 || counter == 1);
}

EXPORT nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, int type, int counter, unsigned long long *count)
{
    GPU_CALL(nvmlDeviceGetTotalEccErrors, device)
    if (!ecc_arguments(type, counter)) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (call.gpu->mig_mode == 1 && counter == NVML_VOLATILE_ECC) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    return give_ullong(ecc_count(call.gpu, type, counter), count);
}

/* Every error is simulated as one of the memory chips; on-chip memory has none. */
EXPORT nvmlReturn_t nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t device, int type, int counter, int location,
                                                    unsigned long long *count)
{
    DEVICE_CALL(nvmlDeviceGetMemoryErrorCounter, device)
    if (!ecc_arguments(type, counter)) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    uint64_t all = ecc_count(call.gpu, type, counter);
    bool sram = location == NVML_MEMORY_LOCATION_SRAM, dram = location == NVML_MEMORY_LOCATION_DRAM;
    if ((!sram && !dram) || all == UNSUPPORTED || (call.mig != NULL && (!sram || type == 0 || counter == 1))) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    return give_ullong(dram ? all : 0, count);
}

EXPORT nvmlReturn_t nvmlDeviceGetSramEccErrorStatus(nvmlDevice_t device, nvmlEccSramErrorStatus_v1_t *status)
{
    GPU_CALL(nvmlDeviceGetSramEccErrorStatus, device)
    if (status == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (status->version != nvmlEccSramErrorStatus_v1) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    if (call.gpu->ecc_mode != 1) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    *status = (nvmlEccSramErrorStatus_v1_t){.version = nvmlEccSramErrorStatus_v1};
    return NVML_SUCCESS;
}

/* Page retirement ended with Volta; the simulated GPUs remap rows. */
EXPORT nvmlReturn_t nvmlDeviceGetRetiredPages(nvmlDevice_t device, int cause, unsigned int *count,
                                              unsigned long long *addresses)
{
    GPU_CALL(nvmlDeviceGetRetiredPages, device)
    (void)cause, (void)count, (void)addresses;
    return NVML_ERROR_NOT_SUPPORTED;
}

EXPORT nvmlReturn_t nvmlDeviceGetRetiredPages_v2(nvmlDevice_t device, int cause, unsigned int *count,
                                                 unsigned long long *addresses, unsigned long long *timestamps)
{
    GPU_CALL(nvmlDeviceGetRetiredPages_v2, device)
    (void)cause, (void)count, (void)addresses, (void)timestamps;
    return NVML_ERROR_NOT_SUPPORTED;
}

EXPORT nvmlReturn_t nvmlDeviceGetRetiredPagesPendingStatus(nvmlDevice_t device, int *pending)
{
    GPU_CALL(nvmlDeviceGetRetiredPagesPendingStatus, device)
    (void)pending;
    return NVML_ERROR_NOT_SUPPORTED;
}

EXPORT nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned int *corrected, unsigned int *uncorrected,
                                              unsigned int *pending, unsigned int *failure)
{
    GPU_CALL(nvmlDeviceGetRemappedRows, device)
    if (call.gpu->mig_mode == 1) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    const uint64_t values[] = {call.gpu->remapped_corrected, call.gpu->remapped_uncorrected,
                               call.gpu->remapped_pending, call.gpu->remapped_failure};
    unsigned int *const outs[] = {corrected, uncorrected, pending, failure};
    for (int i = 0; i < 4; i++) {
        nvmlReturn_t result = give_uint(values[i], outs[i]);
        if (result != NVML_SUCCESS) {
            return result;
        }
    }
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetRowRemapperHistogram(nvmlDevice_t device, nvmlRowRemapperHistogramValues_t *values)
{
    GPU_CALL(nvmlDeviceGetRowRemapperHistogram, device)
    if (values == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    *values = (nvmlRowRemapperHistogramValues_t){.max = 2560};
    return NVML_SUCCESS;
}
