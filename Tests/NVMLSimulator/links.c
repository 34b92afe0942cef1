/* PCIe, NVLink and the NVSwitch fabric. */
#define _GNU_SOURCE
#include <string.h>
#include <time.h>

#include "abi.h"
#include "simulator.h"

#define UINT_GETTER(function, value)                                        \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, unsigned int *number) \
    {                                                                       \
        GPU_CALL(function, device)                                          \
        return give_uint(value, number);                                    \
    }

UINT_GETTER(nvmlDeviceGetPcieReplayCounter, call.gpu->pcie_replay)
UINT_GETTER(nvmlDeviceGetCurrPcieLinkGeneration, call.gpu->pcie_generation)
UINT_GETTER(nvmlDeviceGetCurrPcieLinkWidth, call.gpu->pcie_width)
UINT_GETTER(nvmlDeviceGetMaxPcieLinkGeneration, call.gpu->pcie_max_generation)
UINT_GETTER(nvmlDeviceGetMaxPcieLinkWidth, call.gpu->pcie_max_width)

/* Takes as long as the real one, which measures over 20 ms. */
EXPORT nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, int counter, unsigned int *kib_per_second)
{
    GPU_CALL(nvmlDeviceGetPcieThroughput, device)
    if (counter != 0 && counter != 1) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    return give_uint(counter == 0 ? call.gpu->pcie_tx_kib_s : call.gpu->pcie_rx_kib_s, kib_per_second);
}

static bool has_link(const struct gpu *gpu, unsigned int link)
{
    return gpu->nvlink_count != UNSUPPORTED && link < gpu->nvlink_count;
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t device, unsigned int link, unsigned int *active)
{
    GPU_CALL(nvmlDeviceGetNvLinkState, device)
    return has_link(call.gpu, link) ? give_uint(1, active) : NVML_ERROR_NOT_SUPPORTED;
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkVersion(nvmlDevice_t device, unsigned int link, unsigned int *version)
{
    GPU_CALL(nvmlDeviceGetNvLinkVersion, device)
    return has_link(call.gpu, link) ? give_uint(4, version) : NVML_ERROR_NOT_SUPPORTED;
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkErrorCounter(nvmlDevice_t device, unsigned int link, int counter,
                                                    unsigned long long *count)
{
    GPU_CALL(nvmlDeviceGetNvLinkErrorCounter, device)
    const uint64_t values[] = {call.gpu->nvlink_replay, call.gpu->nvlink_recovery, call.gpu->nvlink_crc_flit,
                               call.gpu->nvlink_crc_data};
    if (counter < 0 || counter > 3 || !has_link(call.gpu, link)) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    /* Every error is one of the first link. */
    return give_ullong(link == 0 ? values[counter] : 0, count);
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuFabricInfo(nvmlDevice_t device, nvmlGpuFabricInfo_t *info)
{
    GPU_CALL(nvmlDeviceGetGpuFabricInfo, device)
    if (info == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (call.gpu->fabric_state == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    *info = (nvmlGpuFabricInfo_t){.status = NVML_SUCCESS, .state = (unsigned char)call.gpu->fabric_state};
    return NVML_SUCCESS;
}

/* The caller names the version it allocated, so v2 must not write past its 36 bytes. */
EXPORT nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t device, nvmlGpuFabricInfo_v3_t *info)
{
    GPU_CALL(nvmlDeviceGetGpuFabricInfoV, device)
    if (info == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    bool third = info->version == nvmlGpuFabricInfo_v3 && call.scenario->level >= R580;
    if (!third && info->version != nvmlGpuFabricInfo_v2) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    if (call.gpu->fabric_state == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    nvmlGpuFabricInfo_v3_t full = {.version = info->version, .status = NVML_SUCCESS,
                                   .state = (unsigned char)call.gpu->fabric_state};
    memcpy(info, &full, third ? sizeof(nvmlGpuFabricInfo_v3_t) : sizeof(nvmlGpuFabricInfo_v2_t));
    return NVML_SUCCESS;
}
