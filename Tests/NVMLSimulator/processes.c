/* Process lists in each layout a driver has used, and accounting. */
#include <string.h>

#include "abi.h"
#include "simulator.h"

static bool belongs(const struct call *call, const struct process *process)
{
    return call->mig == NULL
           || (process->gpu_instance == call->mig->gpu_instance
               && process->compute_instance == call->mig->compute_instance);
}

static unsigned int count_of(const struct call *call, const struct process_list *list)
{
    unsigned int count = 0;
    for (unsigned int i = 0; i < list->count; i++) {
        count += belongs(call, &list->items[i]);
    }
    return count;
}

/* How often a list grew in this process; see processes.growing. */
static uint64_t grown;
enum { GROWTH = 16 };

/* Entries lie `stride` bytes apart and are filled as far as that reaches. */
static nvmlReturn_t give_list(const struct call *call, const struct process_list *list, uint64_t stride,
                              unsigned int *count, void *out)
{
    if (count == NULL || (*count > 0 && out == NULL)) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    unsigned int needed = count_of(call, list), room = *count;
    if (__atomic_load_n(&grown, __ATOMIC_RELAXED) < call->scenario->growing_lists) {
        /* Between two calls more processes came, and ended again before the last one. */
        *count = room + 1 + GROWTH * __atomic_add_fetch(&grown, 1, __ATOMIC_RELAXED);
        return NVML_ERROR_INSUFFICIENT_SIZE;
    }
    *count = needed;
    if (needed > room) {
        return NVML_ERROR_INSUFFICIENT_SIZE;
    }
    char *at = out;
    for (unsigned int i = 0; i < list->count; i++) {
        const struct process *process = &list->items[i];
        if (!belongs(call, process)) {
            continue;
        }
        nvmlProcessInfo_r535_43_t entry;
        memset(&entry, 0, sizeof entry);
        entry.pid = process->pid;
        entry.usedGpuMemory = process->used_bytes; /* UNSUPPORTED is NVML's "not available" */
        entry.gpuInstanceId = process->gpu_instance;
        entry.computeInstanceId = process->compute_instance;
        memcpy(at, &entry, stride <= sizeof entry ? stride : sizeof entry);
        at += stride;
    }
    return NVML_SUCCESS;
}

#define LISTS(kind, member)                                                                                         \
    EXPORT nvmlReturn_t nvmlDeviceGet##kind##RunningProcesses(nvmlDevice_t device, unsigned int *count,             \
                                                              void *out)            \
    {                                                                                                               \
        DEVICE_CALL(nvmlDeviceGet##kind##RunningProcesses, device)                                                  \
        return give_list(&call, &call.gpu->member, sizeof(nvmlProcessInfo_v1_t), count, out);                                        \
    }                                                                                                               \
    EXPORT nvmlReturn_t nvmlDeviceGet##kind##RunningProcesses_v2(nvmlDevice_t device, unsigned int *count,          \
                                                                 void *out)            \
    {                                                                                                               \
        DEVICE_CALL(nvmlDeviceGet##kind##RunningProcesses_v2, device)                                               \
        return give_list(&call, &call.gpu->member, sizeof(nvmlProcessInfo_v2_t), count, out);                                        \
    }                                                                                                               \
    EXPORT nvmlReturn_t nvmlDeviceGet##kind##RunningProcesses_v3(nvmlDevice_t device, unsigned int *count,          \
                                                                 void *out)                                         \
    {                                                                                                               \
        DEVICE_CALL(nvmlDeviceGet##kind##RunningProcesses_v3, device)                                               \
        return give_list(&call, &call.gpu->member, call.scenario->v3_stride, count, out);                           \
    }

LISTS(Compute, compute)
LISTS(Graphics, graphics)
LISTS(MPSCompute, mps)

EXPORT nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device, nvmlProcessDetailList_v1_t *list)
{
    DEVICE_CALL(nvmlDeviceGetRunningProcessDetailList, device)
    if (list == NULL || list->mode > 2) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (list->version != nvmlProcessDetailList_v1) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    const struct process_list *const lists[] = {&call.gpu->compute, &call.gpu->graphics, &call.gpu->mps};
    return give_list(&call, lists[list->mode], sizeof(nvmlProcessDetail_v1_t), &list->numProcArrayEntries,
                     list->procArray);
}

/* The GPU's utilization, shared out equally between its compute processes. */
EXPORT nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *samples,
                                                    unsigned int *count, unsigned long long last_seen)
{
    GPU_CALL(nvmlDeviceGetProcessUtilization, device)
    unsigned int needed = call.gpu->compute.count;
    uint64_t now = wall_us();
    if (count == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (call.gpu->mig_mode == 1 || call.gpu->utilization_gpu == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    if (needed == 0 || last_seen >= now) {
        *count = 0;
        return NVML_ERROR_NOT_FOUND;
    }
    if (samples == NULL || *count < needed) {
        *count = needed;
        return NVML_ERROR_INSUFFICIENT_SIZE;
    }
    for (unsigned int i = 0; i < needed; i++) {
        samples[i] = (nvmlProcessUtilizationSample_t){
            .pid = call.gpu->compute.items[i].pid, .timeStamp = now,
            .smUtil = (unsigned int)call.gpu->utilization_gpu / needed,
            .memUtil = (unsigned int)call.gpu->utilization_memory / needed,
        };
    }
    *count = needed;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device, nvmlProcessesUtilizationInfo_v1_t *info)
{
    GPU_CALL(nvmlDeviceGetProcessesUtilizationInfo, device)
    unsigned int needed = call.gpu->compute.count;
    uint64_t now = wall_us();
    if (info == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (info->version != nvmlProcessesUtilizationInfo_v1) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    if (call.gpu->mig_mode == 1 || call.gpu->utilization_gpu == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    if (needed == 0 || info->lastSeenTimeStamp >= now) {
        info->processSamplesCount = 0;
        return NVML_ERROR_NOT_FOUND;
    }
    if (info->procUtilArray == NULL || info->processSamplesCount < needed) {
        info->processSamplesCount = needed;
        return NVML_ERROR_INSUFFICIENT_SIZE;
    }
    for (unsigned int i = 0; i < needed; i++) {
        info->procUtilArray[i] = (nvmlProcessUtilizationInfo_v1_t){
            .pid = call.gpu->compute.items[i].pid, .timeStamp = now,
            .smUtil = (unsigned int)call.gpu->utilization_gpu / needed,
            .memUtil = (unsigned int)call.gpu->utilization_memory / needed,
        };
    }
    info->processSamplesCount = needed;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetAccountingMode(nvmlDevice_t device, unsigned int *mode)
{
    DEVICE_CALL(nvmlDeviceGetAccountingMode, device)
    return give_uint(call.gpu->accounting_mode, mode);
}

EXPORT nvmlReturn_t nvmlDeviceGetAccountingBufferSize(nvmlDevice_t device, unsigned int *size)
{
    DEVICE_CALL(nvmlDeviceGetAccountingBufferSize, device)
    return give_uint(4000, size);
}

EXPORT nvmlReturn_t nvmlDeviceGetAccountingPids(nvmlDevice_t device, unsigned int *count, unsigned int *pids)
{
    DEVICE_CALL(nvmlDeviceGetAccountingPids, device)
    if (count == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    unsigned int needed = call.gpu->accounting_mode == 1 ? count_of(&call, &call.gpu->compute) : 0, room = *count;
    *count = needed;
    if (needed > room) {
        return NVML_ERROR_INSUFFICIENT_SIZE;
    }
    for (unsigned int i = 0, n = 0; n < needed; i++) {
        if (belongs(&call, &call.gpu->compute.items[i])) {
            pids[n++] = call.gpu->compute.items[i].pid;
        }
    }
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetAccountingStats(nvmlDevice_t device, unsigned int pid, nvmlAccountingStats_t *stats)
{
    DEVICE_CALL(nvmlDeviceGetAccountingStats, device)
    if (stats == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    for (unsigned int i = 0; call.gpu->accounting_mode == 1 && i < call.gpu->compute.count; i++) {
        const struct process *process = &call.gpu->compute.items[i];
        if (process->pid == pid && belongs(&call, process)) {
            *stats = (nvmlAccountingStats_t){
                .gpuUtilization = (unsigned int)call.gpu->utilization_gpu,
                .memoryUtilization = (unsigned int)call.gpu->utilization_memory,
                .maxMemoryUsage = process->used_bytes, .startTime = wall_us(), .isRunning = 1,
            };
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}
