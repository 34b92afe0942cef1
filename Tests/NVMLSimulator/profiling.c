/* The profiling interface (GPM): two samples, and what happened between them. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "simulator.h"

struct nvmlGpmSample_st {
    struct nvmlGpmSample_st *next;
    uint64_t taken_ms; /* 0: nothing in it yet */
    unsigned int gpu_index, instance;
    struct gpm values;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct nvmlGpmSample_st *samples;
static unsigned int alive;

static bool is_sample(nvmlGpmSample_t sample)
{
    pthread_mutex_lock(&lock);
    struct nvmlGpmSample_st *at = samples;
    while (at != NULL && at != sample) {
        at = at->next;
    }
    pthread_mutex_unlock(&lock);
    return at != NULL;
}

EXPORT nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, nvmlGpmSupport_t *support)
{
    DEVICE_CALL(nvmlGpmQueryDeviceSupport, device)
    if (support == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (support->version != nvmlGpmSupport_v1) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    support->isSupportedDevice = call.gpu->gpm_supported == 1;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *sample)
{
    SYSTEM_CALL(nvmlGpmSampleAlloc)
    if (sample == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    struct nvmlGpmSample_st *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        return NVML_ERROR_MEMORY;
    }
    pthread_mutex_lock(&lock);
    fresh->next = samples;
    samples = fresh;
    alive++;
    pthread_mutex_unlock(&lock);
    *sample = fresh;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t sample)
{
    SYSTEM_CALL(nvmlGpmSampleFree)
    pthread_mutex_lock(&lock);
    struct nvmlGpmSample_st **at = &samples;
    while (*at != NULL && *at != sample) {
        at = &(*at)->next;
    }
    struct nvmlGpmSample_st *found = *at;
    if (found != NULL) {
        *at = found->next;
        alive--;
    }
    pthread_mutex_unlock(&lock);
    free(found);
    return found != NULL ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

static nvmlReturn_t take(const struct call *call, const struct mig *mig, nvmlGpmSample_t sample)
{
    if (!is_sample(sample)) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (call->gpu->gpm_supported != 1) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    sample->taken_ms = boottime_ms();
    sample->gpu_index = call->gpu_index;
    sample->instance = mig != NULL ? 1 + (unsigned int)mig->gpu_instance : 0;
    sample->values = mig != NULL ? mig->gpm : call->gpu->gpm;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, nvmlGpmSample_t sample)
{
    DEVICE_CALL(nvmlGpmSampleGet, device)
    return take(&call, call.mig, sample);
}

EXPORT nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t device, unsigned int gpu_instance, nvmlGpmSample_t sample)
{
    GPU_CALL(nvmlGpmMigSampleGet, device)
    for (int m = 0; m < MAX_MIG && call.gpu->mig_mode == 1; m++) {
        if (call.gpu->mig[m].present && call.gpu->mig[m].gpu_instance == gpu_instance) {
            return take(&call, &call.gpu->mig[m], sample);
        }
    }
    return NVML_ERROR_INVALID_ARGUMENT;
}

static nvmlReturn_t give_metric(const struct gpm *values, nvmlGpmMetric_t *metric)
{
    uint64_t value = UNSUPPORTED;
    switch (metric->metricId) {
    case NVML_GPM_METRIC_GRAPHICS_UTIL: value = values->graphics; break;
    case NVML_GPM_METRIC_SM_UTIL: value = values->sm; break;
    case NVML_GPM_METRIC_SM_OCCUPANCY: value = values->sm_occupancy; break;
    case NVML_GPM_METRIC_ANY_TENSOR_UTIL: value = values->tensor; break;
    case NVML_GPM_METRIC_DRAM_BW_UTIL: value = values->dram; break;
    case NVML_GPM_METRIC_FP64_UTIL: value = values->fp64; break;
    case NVML_GPM_METRIC_FP32_UTIL: value = values->fp32; break;
    case NVML_GPM_METRIC_FP16_UTIL: value = values->fp16; break;
    case NVML_GPM_METRIC_PCIE_TX_PER_SEC: value = values->pcie_tx; break;
    case NVML_GPM_METRIC_PCIE_RX_PER_SEC: value = values->pcie_rx; break;
    case NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC: value = values->nvlink_rx; break;
    case NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC: value = values->nvlink_tx; break;
    default: return NVML_ERROR_NOT_SUPPORTED;
    }
    if (value == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    metric->value = (double)value;
    return NVML_SUCCESS;
}

/* The values of the second sample. Both must be of the same device. */
EXPORT nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *metrics)
{
    SYSTEM_CALL(nvmlGpmMetricsGet)
    if (metrics == NULL || !is_sample(metrics->sample1) || !is_sample(metrics->sample2)) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (metrics->version != NVML_GPM_METRICS_GET_VERSION) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    const struct nvmlGpmSample_st *first = metrics->sample1, *second = metrics->sample2;
    if (first == second || first->taken_ms == 0 || second->taken_ms == 0 || first->gpu_index != second->gpu_index
        || first->instance != second->instance || metrics->numMetrics > CNVML_GPM_METRIC_CAPACITY) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    for (unsigned int i = 0; i < metrics->numMetrics; i++) {
        metrics->metrics[i].nvmlReturn = give_metric(&second->values, &metrics->metrics[i]);
    }
    return NVML_SUCCESS;
}

/* Not part of NVML: samples that were allocated and not freed. */
EXPORT unsigned int nvmlSimulatorGpmSamples(void)
{
    pthread_mutex_lock(&lock);
    unsigned int answer = alive;
    pthread_mutex_unlock(&lock);
    return answer;
}
