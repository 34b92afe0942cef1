/* Field values (many numbers in one call) and time-stamped samples. */
#define _GNU_SOURCE
#include <pthread.h>
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
    case NVML_FI_DEV_RETIRED_SBE: return as_ullong(field, gpu->retired_sbe);
    case NVML_FI_DEV_RETIRED_DBE: return as_ullong(field, gpu->retired_dbe);
    case NVML_FI_DEV_RETIRED_PENDING: return as_uint(field, gpu->retired_pending);
    case NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL: return as_ullong(field, gpu->nvlink_crc_flit);
    case NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL: return as_ullong(field, gpu->nvlink_crc_data);
    case NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL: return as_ullong(field, gpu->nvlink_replay);
    case NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL: return as_ullong(field, gpu->nvlink_recovery);
    case NVML_FI_DEV_PERF_POLICY_POWER: return as_ullong(field, gpu->violation_power_ns);
    case NVML_FI_DEV_PERF_POLICY_THERMAL: return as_ullong(field, gpu->violation_thermal_ns);
    case NVML_FI_DEV_PERF_POLICY_SYNC_BOOST: return as_ullong(field, gpu->violation_sync_boost_ns);
    case NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT: return as_ullong(field, gpu->violation_board_limit_ns);
    case NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION: return as_ullong(field, gpu->violation_low_utilization_ns);
    case NVML_FI_DEV_PERF_POLICY_RELIABILITY: return as_ullong(field, gpu->violation_reliability_ns);
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

enum { SAMPLE_PERIOD_US = 166667, SAMPLE_BUFFER = 120, HISTORY = 256 };

/* From when on a GPU's utilization was what: the newest HISTORY changes, oldest first. */
static struct change {
    uint64_t from_us, gpu, memory;
} history[MAX_GPUS][HISTORY];
static unsigned int changes[MAX_GPUS];
static pthread_mutex_t history_lock = PTHREAD_MUTEX_INITIALIZER;

void samples_note(const struct scenario *scenario)
{
    uint64_t now = wall_us();
    pthread_mutex_lock(&history_lock);
    for (unsigned int i = 0; i < MAX_GPUS; i++) {
        const struct gpu *gpu = &scenario->gpus[i];
        struct change *last = changes[i] > 0 ? &history[i][changes[i] - 1] : NULL;
        if (last != NULL && last->gpu == gpu->utilization_gpu && last->memory == gpu->utilization_memory) {
            continue;
        }
        if (changes[i] == HISTORY) {
            memmove(&history[i][0], &history[i][1], sizeof history[i] - sizeof history[i][0]);
            changes[i]--;
        }
        /* The first scenario has been so for ever. */
        history[i][changes[i]++] = (struct change){last == NULL ? 0 : now, gpu->utilization_gpu, gpu->utilization_memory};
    }
    pthread_mutex_unlock(&history_lock);
}

static uint64_t utilization_at(unsigned int gpu, bool memory, uint64_t at_us)
{
    pthread_mutex_lock(&history_lock);
    unsigned int i = changes[gpu] - 1;
    while (i > 0 && history[gpu][i].from_us > at_us) {
        i--;
    }
    uint64_t value = memory ? history[gpu][i].memory : history[gpu][i].gpu;
    pthread_mutex_unlock(&history_lock);
    return value == UNSUPPORTED ? 0 : value;
}

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
        uint64_t value = type == 1 || type == 2 ? utilization_at(call.gpu_index, type == 2, slot * SAMPLE_PERIOD_US)
                                                : values[type];
        samples[n].sampleValue.uiVal = (unsigned int)value;
    }
    *count = n;
    return NVML_SUCCESS;
}
