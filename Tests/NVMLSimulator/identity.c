/* Enumeration and what a GPU is. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "abi.h"
#include "simulator.h"

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count)
{
    SYSTEM_CALL(nvmlDeviceGetCount_v2)
    return give_uint(call.scenario->gpu_count, count);
}

EXPORT nvmlReturn_t nvmlDeviceGetCount(unsigned int *count)
{
    SYSTEM_CALL(nvmlDeviceGetCount)
    return give_uint(call.scenario->gpu_count, count);
}

static nvmlReturn_t give_gpu(const struct call *call, enum symbol symbol, unsigned int index, nvmlDevice_t *device)
{
    if (device == NULL || index >= call->scenario->gpu_count) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    nvmlReturn_t result = call_check_gpu(call, symbol, index);
    if (result == NVML_SUCCESS) {
        *device = device_handle(index, -1);
    }
    return result;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
    SYSTEM_CALL(nvmlDeviceGetHandleByIndex_v2)
    return give_gpu(&call, SYMBOL_nvmlDeviceGetHandleByIndex_v2, index, device);
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *device)
{
    SYSTEM_CALL(nvmlDeviceGetHandleByIndex)
    return give_gpu(&call, SYMBOL_nvmlDeviceGetHandleByIndex, index, device);
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    SYSTEM_CALL(nvmlDeviceGetHandleByUUID)
    if (uuid == NULL || device == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    for (unsigned int i = 0; i < call.scenario->gpu_count; i++) {
        const struct gpu *gpu = &call.scenario->gpus[i];
        if (strcmp(gpu->uuid, uuid) == 0) {
            return give_gpu(&call, SYMBOL_nvmlDeviceGetHandleByUUID, i, device);
        }
        for (int m = 0; m < MAX_MIG && gpu->mig_mode == 1; m++) {
            if (gpu->mig[m].present && strcmp(gpu->mig[m].uuid, uuid) == 0) {
                nvmlReturn_t result = give_gpu(&call, SYMBOL_nvmlDeviceGetHandleByUUID, i, device);
                if (result == NVML_SUCCESS) {
                    *device = device_handle(i, m);
                }
                return result;
            }
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleBySerial(const char *serial, nvmlDevice_t *device)
{
    SYSTEM_CALL(nvmlDeviceGetHandleBySerial)
    for (unsigned int i = 0; serial != NULL && i < call.scenario->gpu_count; i++) {
        if (strcmp(call.scenario->gpus[i].serial, serial) == 0) {
            return give_gpu(&call, SYMBOL_nvmlDeviceGetHandleBySerial, i, device);
        }
    }
    return serial == NULL ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_NOT_FOUND;
}

/* The domain may be written with four or eight digits, or left out. */
static nvmlReturn_t gpu_by_bus(const struct call *call, enum symbol symbol, const char *bus_id, nvmlDevice_t *device)
{
    for (unsigned int i = 0; bus_id != NULL && i < call->scenario->gpu_count; i++) {
        const char *known = call->scenario->gpus[i].bus_id;
        size_t known_size = strlen(known), size = strlen(bus_id);
        if (size >= 7 && size <= known_size && strcasecmp(known + known_size - size, bus_id) == 0) {
            return give_gpu(call, symbol, i, device);
        }
    }
    return bus_id == NULL ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *bus_id, nvmlDevice_t *device)
{
    SYSTEM_CALL(nvmlDeviceGetHandleByPciBusId)
    return gpu_by_bus(&call, SYMBOL_nvmlDeviceGetHandleByPciBusId, bus_id, device);
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *device)
{
    SYSTEM_CALL(nvmlDeviceGetHandleByPciBusId_v2)
    return gpu_by_bus(&call, SYMBOL_nvmlDeviceGetHandleByPciBusId_v2, bus_id, device);
}

EXPORT nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length)
{
    DEVICE_CALL(nvmlDeviceGetUUID, device)
    return give_string(&call, call.mig != NULL ? call.mig->uuid : call.gpu->uuid, uuid, length);
}

EXPORT nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length)
{
    DEVICE_CALL(nvmlDeviceGetName, device)
    char text[2 * TEXT + 8];
    snprintf(text, sizeof text, call.mig != NULL ? "%s MIG %s" : "%s", call.gpu->name,
             call.mig != NULL ? call.mig->profile : "");
    return give_string(&call, text, name, length);
}

EXPORT nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *index)
{
    DEVICE_CALL(nvmlDeviceGetIndex, device)
    return give_uint(call.mig != NULL ? call.mig_index : call.gpu_index, index);
}

#define TEXT_GETTER(function, member)                                                        \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, char *buffer, unsigned int length)     \
    {                                                                                        \
        GPU_CALL(function, device)                                                           \
        return strcmp(call.gpu->member, "unsupported") == 0                                  \
                   ? NVML_ERROR_NOT_SUPPORTED                                                \
                   : give_string(&call, call.gpu->member, buffer, length);                   \
    }

TEXT_GETTER(nvmlDeviceGetSerial, serial)
TEXT_GETTER(nvmlDeviceGetVbiosVersion, vbios)
TEXT_GETTER(nvmlDeviceGetBoardPartNumber, board_part)
TEXT_GETTER(nvmlDeviceGetInforomImageVersion, inforom)

EXPORT nvmlReturn_t nvmlDeviceGetGspFirmwareVersion(nvmlDevice_t device, char *version)
{
    GPU_CALL(nvmlDeviceGetGspFirmwareVersion, device)
    return give_string(&call, call.gpu->gsp, version, NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE);
}

EXPORT nvmlReturn_t nvmlDeviceGetGspFirmwareMode(nvmlDevice_t device, unsigned int *enabled, unsigned int *by_default)
{
    GPU_CALL(nvmlDeviceGetGspFirmwareMode, device)
    nvmlReturn_t result = give_uint(1, enabled);
    return result != NVML_SUCCESS ? result : give_uint(1, by_default);
}

#define UINT_GETTER(function, value)                                        \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, unsigned int *number) \
    {                                                                       \
        GPU_CALL(function, device)                                          \
        return give_uint(value, number);                                    \
    }

UINT_GETTER(nvmlDeviceGetMinorNumber, call.gpu->minor)
UINT_GETTER(nvmlDeviceGetBrand, call.gpu->brand)
UINT_GETTER(nvmlDeviceGetArchitecture, call.gpu->architecture)
UINT_GETTER(nvmlDeviceGetNumGpuCores, call.gpu->cores)
UINT_GETTER(nvmlDeviceGetMemoryBusWidth, call.gpu->memory_bus_width)
UINT_GETTER(nvmlDeviceGetModuleId, call.gpu->module_id)
UINT_GETTER(nvmlDeviceGetVirtualizationMode, call.gpu->virtualization_mode)
UINT_GETTER(nvmlDeviceGetPersistenceMode, call.gpu->persistence_mode)
UINT_GETTER(nvmlDeviceGetDisplayActive, 0)
UINT_GETTER(nvmlDeviceGetDisplayMode, 0)
UINT_GETTER(nvmlDeviceGetMultiGpuBoard, 0)
UINT_GETTER(nvmlDeviceGetBoardId, 0x100u * (call.gpu_index + 1))

EXPORT nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t device, unsigned int *mode)
{
    DEVICE_CALL(nvmlDeviceGetComputeMode, device)
    return give_uint(call.gpu->compute_mode, mode);
}

EXPORT nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{
    DEVICE_CALL(nvmlDeviceGetCudaComputeCapability, device)
    nvmlReturn_t result = give_uint(call.gpu->compute_major, (unsigned int *)major);
    return result != NVML_SUCCESS ? result : give_uint(call.gpu->compute_minor, (unsigned int *)minor);
}

/* Windows only, everywhere else not supported. */
EXPORT nvmlReturn_t nvmlDeviceGetDriverModel(nvmlDevice_t device, int *current, int *pending)
{
    GPU_CALL(nvmlDeviceGetDriverModel, device)
    (void)current, (void)pending;
    return NVML_ERROR_NOT_SUPPORTED;
}

EXPORT nvmlReturn_t nvmlDeviceGetDriverModel_v2(nvmlDevice_t device, int *current, int *pending)
{
    GPU_CALL(nvmlDeviceGetDriverModel_v2, device)
    (void)current, (void)pending;
    return NVML_ERROR_NOT_SUPPORTED;
}

static unsigned int bus_part(const char *bus_id, int part)
{
    unsigned int values[4] = {0};
    int at = 0;
    for (; *bus_id != 0 && at < 4; bus_id++) {
        char c = (char)(*bus_id | 32);
        if (*bus_id == ':' || *bus_id == '.') {
            at++;
        } else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
            values[at] = values[at] * 16 + (unsigned int)(c >= 'a' ? c - 'a' + 10 : c - '0');
        }
    }
    return values[part];
}

enum { H100_DEVICE = 0x233010de, H100_SUBSYSTEM = 0x16c110de };

static nvmlReturn_t give_pci(const struct call *call, nvmlPciInfo_t *pci)
{
    if (pci == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    const char *bus_id = call->gpu->bus_id;
    memset(pci, 0, sizeof *pci);
    pci->domain = bus_part(bus_id, 0);
    pci->bus = bus_part(bus_id, 1);
    pci->device = bus_part(bus_id, 2);
    pci->pciDeviceId = H100_DEVICE;
    pci->pciSubSystemId = H100_SUBSYSTEM;
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:%02X.0", pci->domain & 0xFFFFu, pci->bus & 0xFFu,
             pci->device & 0xFFu);
    snprintf(pci->busId, sizeof pci->busId, "%.31s", bus_id);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    DEVICE_CALL(nvmlDeviceGetPciInfo_v3, device)
    return give_pci(&call, pci);
}

EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    DEVICE_CALL(nvmlDeviceGetPciInfo_v2, device)
    return give_pci(&call, pci);
}

EXPORT nvmlReturn_t nvmlDeviceGetPciInfoExt(nvmlDevice_t device, nvmlPciInfoExt_v1_t *pci)
{
    DEVICE_CALL(nvmlDeviceGetPciInfoExt, device)
    nvmlPciInfo_t info;
    if (pci == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (pci->version != nvmlPciInfoExt_v1) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    give_pci(&call, &info);
    *pci = (nvmlPciInfoExt_v1_t){
        .version = nvmlPciInfoExt_v1, .domain = info.domain, .bus = info.bus, .device = info.device,
        .pciDeviceId = info.pciDeviceId, .pciSubSystemId = info.pciSubSystemId, .baseClass = 3, .subClass = 2,
    };
    memcpy(pci->busId, info.busId, sizeof pci->busId);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetConfComputeMemSizeInfo(nvmlDevice_t device, nvmlConfComputeMemSizeInfo_t *info)
{
    GPU_CALL(nvmlDeviceGetConfComputeMemSizeInfo, device)
    (void)info;
    return NVML_ERROR_NOT_SUPPORTED;
}

static nvmlReturn_t give_licence(const struct call *call, nvmlGridLicensableFeatures_t *features)
{
    if (features == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    memset(features, 0, sizeof *features);
    if (call->gpu->virtualization_mode != NVML_GPU_VIRTUALIZATION_MODE_VGPU || call->gpu->vgpu_licensed == UNSUPPORTED) {
        return NVML_SUCCESS;
    }
    features->isGridLicenseSupported = 1;
    features->licensableFeaturesCount = 1;
    features->gridLicensableFeatures[0].featureCode = 1;
    features->gridLicensableFeatures[0].featureState = (unsigned int)call->gpu->vgpu_licensed;
    features->gridLicensableFeatures[0].featureEnabled = 1;
    snprintf(features->gridLicensableFeatures[0].productName, 128, "NVIDIA Virtual Compute Server");
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetGridLicensableFeatures_v4(nvmlDevice_t device, nvmlGridLicensableFeatures_t *features)
{
    GPU_CALL(nvmlDeviceGetGridLicensableFeatures_v4, device)
    return give_licence(&call, features);
}

EXPORT nvmlReturn_t nvmlDeviceGetGridLicensableFeatures_v3(nvmlDevice_t device, nvmlGridLicensableFeatures_t *features)
{
    GPU_CALL(nvmlDeviceGetGridLicensableFeatures_v3, device)
    return give_licence(&call, features);
}
