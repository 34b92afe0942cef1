/* Field values (many numbers in one call) and time-stamped samples. */
#define _GNU_SOURCE
#include <string.h>

#include "abi.h"
#include "simulator.h"

static nvmlReturn_t as_uint(nvmlFieldValue_t *field, uint64_t value)
{
    field->valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
    return give_uint(value, &field->value.uiVal);
}

static nvmlReturn_t as_ullong(nvmlFieldValue_t *field, uint64_t value)
{
    field->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
    return give_ullong(value, &field->value.ullVal);
}

/* The oldest driver that knows a field, for those that came later than the function itself. */
static enum level field_level(unsigned int id)
{
    return id == NVML_FI_DEV_GET_GPU_RECOVERY_ACTION ? R570 : id >= 197 ? R570 : id >= 185 ? R535_43 : R450;
}

static nvmlReturn_t fill(const struct call *call, nvmlFieldValue_t *field)
{
    const struct gpu *gpu = call->gpu;
    bool ecc = gpu->ecc_mode == 1, split = gpu->mig_mode == 1;
    for (unsigned int i = 0; i < gpu->field_count; i++) {
        if (gpu->fields[i].id == field->fieldId) {
            field->valueType = gpu->fields[i].value_type;
            field->value = gpu->fields[i].value;
            return gpu->fields[i].result;
        }
    }
    if (field_level(field->fieldId) > call->scenario->level) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    switch (field->fieldId) {
    case 1: return as_uint(field, gpu->ecc_mode); /* current and pending ECC mode */
    case 2: return as_uint(field, gpu->ecc_mode);
    case NVML_FI_DEV_ECC_SBE_VOL_TOTAL: return as_ullong(field, ecc && !split ? gpu->ecc_corrected_volatile : UNSUPPORTED);
    case NVML_FI_DEV_ECC_DBE_VOL_TOTAL: return as_ullong(field, ecc && !split ? gpu->ecc_uncorrected_volatile : UNSUPPORTED);
    case NVML_FI_DEV_ECC_SBE_AGG_TOTAL: return as_ullong(field, ecc ? gpu->ecc_corrected_aggregate : UNSUPPORTED);
    case NVML_FI_DEV_ECC_DBE_AGG_TOTAL: return as_ullong(field, ecc ? gpu->ecc_uncorrected_aggregate : UNSUPPORTED);
    case NVML_FI_DEV_MEMORY_TEMP: return as_uint(field, gpu->temperature_memory_c);
    case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: return as_ullong(field, energy_now_mj(call));
    case NVML_FI_DEV_NVLINK_LINK_COUNT: return as_uint(field, gpu->nvlink_count);
    case NVML_FI_DEV_PCIE_REPLAY_COUNTER: return as_uint(field, gpu->pcie_replay);
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX: return as_ullong(field, gpu->nvlink_tx_kib);
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX: return as_ullong(field, gpu->nvlink_rx_kib);
    case NVML_FI_DEV_REMAPPED_COR: return as_uint(field, split ? UNSUPPORTED : gpu->remapped_corrected);
    case NVML_FI_DEV_REMAPPED_UNC: return as_uint(field, split ? UNSUPPORTED : gpu->remapped_uncorrected);
    case NVML_FI_DEV_REMAPPED_PENDING: return as_uint(field, split ? UNSUPPORTED : gpu->remapped_pending);
    case NVML_FI_DEV_REMAPPED_FAILURE: return as_uint(field, split ? UNSUPPORTED : gpu->remapped_failure);
    case NVML_FI_DEV_POWER_AVERAGE: return as_uint(field, gpu->power_mw);
    case NVML_FI_DEV_POWER_INSTANT: return as_uint(field, gpu->power_mw);
    case NVML_FI_DEV_PCIE_COUNT_TX_BYTES: return as_ullong(field, gpu->pcie_tx_bytes);
    case NVML_FI_DEV_PCIE_COUNT_RX_BYTES: return as_ullong(field, gpu->pcie_rx_bytes);
    case NVML_FI_DEV_GET_GPU_RECOVERY_ACTION: return as_uint(field, gpu->recovery_action);
    default: return NVML_ERROR_NOT_SUPPORTED;
    }
}

EXPORT nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values)
{
    GPU_CALL(nvmlDeviceGetFieldValues, device)
    if (values == NULL || count <= 0) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    bool any = false;
    for (int i = 0; i < count; i++) {
        values[i].timestamp = (long long)wall_us();
        values[i].latencyUsec = 1;
        values[i].value.ullVal = 0;
        values[i].nvmlReturn = fill(&call, &values[i]);
        any = any || values[i].nvmlReturn == NVML_SUCCESS;
    }
    return any ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

enum { SAMPLE_PERIOD_US = 166667, SAMPLE_BUFFER = 120 };

/* Samples lie on a fixed grid of the wall clock, six a second, so a caller never sees one twice. */
EXPORT nvmlReturn_t nvmlDeviceGetSamples(nvmlDevice_t device, int type, unsigned long long last_seen, int *value_type,
                                         unsigned int *count, nvmlSample_t *samples)
{
    GPU_CALL(nvmlDeviceGetSamples, device)
    const struct gpu *gpu = call.gpu;
    const uint64_t values[] = {gpu->power_mw,           gpu->utilization_gpu,     gpu->utilization_memory,
                               gpu->utilization_encoder, gpu->utilization_decoder, gpu->clock_sm_mhz,
                               gpu->clock_memory_mhz,   gpu->power_mw};
    if (value_type == NULL || count == NULL || type < 0 || type > 7) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (values[type] == UNSUPPORTED || (gpu->mig_mode == 1 && type >= 1 && type <= 4)) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    *value_type = NVML_VALUE_TYPE_UNSIGNED_INT;
    if (samples == NULL) {
        *count = SAMPLE_BUFFER;
        return NVML_SUCCESS;
    }
    uint64_t newest = wall_us() / SAMPLE_PERIOD_US, oldest = newest - SAMPLE_BUFFER + 1;
    uint64_t seen = last_seen / SAMPLE_PERIOD_US;
    if (seen >= newest) {
        return NVML_ERROR_NOT_FOUND;
    }
    if (seen + 1 > oldest) {
        oldest = seen + 1;
    }
    unsigned int n = 0;
    for (uint64_t slot = oldest; slot <= newest && n < *count; slot++, n++) {
        samples[n].timeStamp = slot * SAMPLE_PERIOD_US;
        samples[n].sampleValue.ullVal = 0;
        samples[n].sampleValue.uiVal = (unsigned int)values[type];
    }
    *count = n;
    return NVML_SUCCESS;
}
