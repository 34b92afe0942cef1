/* MIG: the GPU's mode, its slots, and the instances in them. */
#include "abi.h"
#include "simulator.h"

/* Opaque to callers: a GPU instance or compute instance is the slot that shows it, counted from 1. */
static void *instance_handle(unsigned int gpu_index, unsigned int slot)
{
    return (void *)(uintptr_t)(1 + gpu_index * MAX_MIG + slot);
}

static const struct mig *instance_named(const struct call *call, void *handle, unsigned int *gpu_index,
                                        unsigned int *slot)
{
    uintptr_t place = (uintptr_t)handle - 1;
    if (place >= (uintptr_t)MAX_GPUS * MAX_MIG) {
        return NULL;
    }
    *gpu_index = (unsigned int)(place / MAX_MIG);
    *slot = (unsigned int)(place % MAX_MIG);
    const struct gpu *gpu = &call->scenario->gpus[*gpu_index];
    bool there = *gpu_index < call->scenario->gpu_count && gpu->mig_mode == 1 && gpu->mig[*slot].present;
    return there ? &gpu->mig[*slot] : NULL;
}

EXPORT nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending)
{
    GPU_CALL(nvmlDeviceGetMigMode, device)
    nvmlReturn_t result = give_uint(call.gpu->mig_mode, current);
    return result != NVML_SUCCESS ? result : give_uint(call.gpu->mig_pending, pending);
}

EXPORT nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count)
{
    GPU_CALL(nvmlDeviceGetMaxMigDeviceCount, device)
    return give_uint(call.gpu->mig_mode == UNSUPPORTED ? 0 : call.gpu->mig_max, count);
}

EXPORT nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index, nvmlDevice_t *out)
{
    GPU_CALL(nvmlDeviceGetMigDeviceHandleByIndex, device)
    if (out == NULL || call.gpu->mig_max == UNSUPPORTED || index >= call.gpu->mig_max) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (call.gpu->mig_mode != 1) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    if (index >= MAX_MIG || !call.gpu->mig[index].present) {
        return NVML_ERROR_NOT_FOUND;
    }
    *out = device_handle(call.gpu_index, (int)index);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int *answer)
{
    DEVICE_CALL(nvmlDeviceIsMigDeviceHandle, device)
    return give_uint(call.mig != NULL, answer);
}

EXPORT nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t device, nvmlDevice_t *out)
{
    DEVICE_CALL(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, device)
    if (out == NULL || call.mig == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    *out = device_handle(call.gpu_index, -1);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned int *id)
{
    DEVICE_CALL(nvmlDeviceGetGpuInstanceId, device)
    return call.mig == NULL ? NVML_ERROR_NOT_SUPPORTED : give_uint(call.mig->gpu_instance, id);
}

EXPORT nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned int *id)
{
    DEVICE_CALL(nvmlDeviceGetComputeInstanceId, device)
    return call.mig == NULL ? NVML_ERROR_NOT_SUPPORTED : give_uint(call.mig->compute_instance, id);
}

EXPORT nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, nvmlDeviceAttributes_t *attributes)
{
    DEVICE_CALL(nvmlDeviceGetAttributes_v2, device)
    if (attributes == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (call.mig == NULL) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    *attributes = (nvmlDeviceAttributes_t){
        .multiprocessorCount = (unsigned int)call.mig->multiprocessors, .sharedCopyEngineCount = 1,
        .sharedDecoderCount = 1, .sharedJpegCount = 1,
        .gpuInstanceSliceCount = (unsigned int)call.mig->slices,
        .computeInstanceSliceCount = (unsigned int)call.mig->slices, .memorySizeMB = call.mig->memory_total_mib,
    };
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceById(nvmlDevice_t device, unsigned int id, nvmlGpuInstance_t *instance)
{
    GPU_CALL(nvmlDeviceGetGpuInstanceById, device)
    if (instance == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    for (unsigned int m = 0; m < MAX_MIG && call.gpu->mig_mode == 1; m++) {
        if (call.gpu->mig[m].present && call.gpu->mig[m].gpu_instance == id) {
            *instance = instance_handle(call.gpu_index, m);
            return NVML_SUCCESS;
        }
    }
    return call.gpu->mig_mode == 1 ? NVML_ERROR_NOT_FOUND : NVML_ERROR_NOT_SUPPORTED;
}

EXPORT nvmlReturn_t nvmlGpuInstanceGetInfo(nvmlGpuInstance_t instance, nvmlGpuInstanceInfo_t *info)
{
    SYSTEM_CALL(nvmlGpuInstanceGetInfo)
    unsigned int gpu_index, slot;
    const struct mig *mig = instance_named(&call, instance, &gpu_index, &slot);
    if (mig == NULL || info == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    *info = (nvmlGpuInstanceInfo_t){.device = device_handle(gpu_index, -1), .id = (unsigned int)mig->gpu_instance,
                                    .placement = {.start = slot, .size = (unsigned int)mig->slices}};
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlGpuInstanceGetComputeInstanceById(nvmlGpuInstance_t instance, unsigned int id,
                                                          nvmlComputeInstance_t *out)
{
    SYSTEM_CALL(nvmlGpuInstanceGetComputeInstanceById)
    unsigned int gpu_index, slot;
    const struct mig *mig = instance_named(&call, instance, &gpu_index, &slot);
    if (mig == NULL || out == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    for (unsigned int m = 0; m < MAX_MIG; m++) {
        const struct mig *other = &call.scenario->gpus[gpu_index].mig[m];
        if (other->present && other->gpu_instance == mig->gpu_instance && other->compute_instance == id) {
            *out = instance_handle(gpu_index, m);
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlComputeInstanceGetInfo_v2(nvmlComputeInstance_t instance, nvmlComputeInstanceInfo_t *info)
{
    SYSTEM_CALL(nvmlComputeInstanceGetInfo_v2)
    unsigned int gpu_index, slot;
    const struct mig *mig = instance_named(&call, instance, &gpu_index, &slot);
    if (mig == NULL || info == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    *info = (nvmlComputeInstanceInfo_t){
        .device = device_handle(gpu_index, -1), .gpuInstance = instance_handle(gpu_index, slot),
        .id = (unsigned int)mig->compute_instance, .placement = {.size = (unsigned int)mig->slices},
    };
    return NVML_SUCCESS;
}
