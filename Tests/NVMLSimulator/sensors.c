/* Utilization, power, energy, temperature, clocks. */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>

#include "abi.h"
#include "simulator.h"

/* ---- utilization: no such value exists for a MIG instance, nor for a GPU that is split into some ---- */

EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization)
{
    GPU_CALL(nvmlDeviceGetUtilizationRates, device)
    uint64_t gpu = call.gpu->utilization_gpu, memory = call.gpu->utilization_memory;
    if (utilization == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (call.gpu->mig_mode == 1 || gpu == UNSUPPORTED || memory == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    *utilization = (nvmlUtilization_t){.gpu = (unsigned int)gpu, .memory = (unsigned int)memory};
    return NVML_SUCCESS;
}

#define UTILIZATION_GETTER(function, member)                                                             \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, unsigned int *percent, unsigned int *period_us)    \
    {                                                                                                    \
        GPU_CALL(function, device)                                                                       \
        if (call.gpu->mig_mode == 1) {                                                                   \
            return NVML_ERROR_NOT_SUPPORTED;                                                             \
        }                                                                                                \
        nvmlReturn_t result = give_uint(call.gpu->member, percent);                                      \
        return result != NVML_SUCCESS ? result : give_uint(166667, period_us);                           \
    }

UTILIZATION_GETTER(nvmlDeviceGetEncoderUtilization, utilization_encoder)
UTILIZATION_GETTER(nvmlDeviceGetDecoderUtilization, utilization_decoder)
UTILIZATION_GETTER(nvmlDeviceGetJpgUtilization, utilization_jpeg)
UTILIZATION_GETTER(nvmlDeviceGetOfaUtilization, utilization_ofa)

/* ---- power and energy ---- */

#define UINT_GETTER(function, value)                                        \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, unsigned int *number) \
    {                                                                       \
        GPU_CALL(function, device)                                          \
        return give_uint(value, number);                                    \
    }

UINT_GETTER(nvmlDeviceGetPowerUsage, call.gpu->power_mw)
UINT_GETTER(nvmlDeviceGetEnforcedPowerLimit, call.gpu->power_limit_mw)
UINT_GETTER(nvmlDeviceGetPowerManagementMode, 1)
UINT_GETTER(nvmlDeviceGetPowerManagementLimit, call.gpu->power_limit_mw)
UINT_GETTER(nvmlDeviceGetPowerManagementDefaultLimit, call.gpu->power_default_limit_mw)

EXPORT nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device, unsigned int *least,
                                                                 unsigned int *most)
{
    GPU_CALL(nvmlDeviceGetPowerManagementLimitConstraints, device)
    nvmlReturn_t result = give_uint(call.gpu->power_min_limit_mw, least);
    return result != NVML_SUCCESS ? result : give_uint(call.gpu->power_max_limit_mw, most);
}

/* The counter is a straight line through (energy.start_boottime_ms, energy.mj), so that every process reads
   the same. When only the rate changes while a process runs, the line bends instead of jumping. */
static struct {
    uint64_t asked_mj, asked_start_ms, rate_mw, base_mj, base_ms;
    bool known;
} lines[MAX_GPUS];
static pthread_mutex_t lines_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t on_line(uint64_t base_mj, uint64_t base_ms, uint64_t rate_mw, uint64_t at_ms)
{
    return at_ms <= base_ms ? base_mj : base_mj + rate_mw * (at_ms - base_ms) / 1000;
}

uint64_t energy_now_mj(const struct call *call)
{
    const struct gpu *gpu = call->gpu;
    if (gpu->energy_mj == UNSUPPORTED) {
        return UNSUPPORTED;
    }
    pthread_mutex_lock(&lines_lock);
    __typeof__(*lines) *line = &lines[call->gpu_index];
    if (!line->known || line->asked_mj != gpu->energy_mj || line->asked_start_ms != gpu->energy_start_boottime_ms) {
        line->known = true;
        line->asked_mj = line->base_mj = gpu->energy_mj;
        line->asked_start_ms = line->base_ms = gpu->energy_start_boottime_ms;
        line->rate_mw = gpu->energy_rate_mw;
    } else if (line->rate_mw != gpu->energy_rate_mw) {
        uint64_t bend = call->scenario->loaded_boottime_ms;
        line->base_mj = on_line(line->base_mj, line->base_ms, line->rate_mw, bend);
        line->base_ms = bend;
        line->rate_mw = gpu->energy_rate_mw;
    }
    uint64_t now = on_line(line->base_mj, line->base_ms, line->rate_mw, boottime_ms());
    pthread_mutex_unlock(&lines_lock);
    return now;
}

EXPORT nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *millijoules)
{
    GPU_CALL(nvmlDeviceGetTotalEnergyConsumption, device)
    return give_ullong(energy_now_mj(&call), millijoules);
}

/* ---- temperature and fan ---- */

EXPORT nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned int *celsius)
{
    GPU_CALL(nvmlDeviceGetTemperature, device)
    return sensor != NVML_TEMPERATURE_GPU ? NVML_ERROR_INVALID_ARGUMENT
                                          : give_uint(call.gpu->temperature_c, celsius);
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_v1_t *temperature)
{
    GPU_CALL(nvmlDeviceGetTemperatureV, device)
    if (temperature == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (temperature->version != nvmlTemperature_v1) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    if (temperature->sensorType != NVML_TEMPERATURE_GPU) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    return give_uint(call.gpu->temperature_c, (unsigned int *)&temperature->temperature);
}

EXPORT nvmlReturn_t nvmlDeviceGetMarginTemperature(nvmlDevice_t device, nvmlMarginTemperature_v1_t *margin)
{
    GPU_CALL(nvmlDeviceGetMarginTemperature, device)
    uint64_t now = call.gpu->temperature_c, limit = call.gpu->temperature_slowdown_c;
    if (margin == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (margin->version != nvmlMarginTemperature_v1) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    if (now == UNSUPPORTED || limit == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    margin->marginTemperature = (int)((int64_t)limit - (int64_t)now);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, int threshold, unsigned int *celsius)
{
    GPU_CALL(nvmlDeviceGetTemperatureThreshold, device)
    switch (threshold) {
    case 0: return give_uint(call.gpu->temperature_shutdown_c, celsius);
    case 1: return give_uint(call.gpu->temperature_slowdown_c, celsius);
    default: return NVML_ERROR_NOT_SUPPORTED;
    }
}

UINT_GETTER(nvmlDeviceGetFanSpeed, call.gpu->fan_percent)
UINT_GETTER(nvmlDeviceGetNumFans, call.gpu->fan_percent == UNSUPPORTED ? UNSUPPORTED : 1)

EXPORT nvmlReturn_t nvmlDeviceGetFanSpeed_v2(nvmlDevice_t device, unsigned int fan, unsigned int *percent)
{
    GPU_CALL(nvmlDeviceGetFanSpeed_v2, device)
    return fan > 0 ? NVML_ERROR_INVALID_ARGUMENT : give_uint(call.gpu->fan_percent, percent);
}

/* ---- clocks ---- */

UINT_GETTER(nvmlDeviceGetPerformanceState, call.gpu->performance_state)
UINT_GETTER(nvmlDeviceGetPowerState, call.gpu->performance_state)

static nvmlReturn_t give_clock(const struct gpu *gpu, int type, bool most, unsigned int *megahertz)
{
    const uint64_t now[] = {gpu->clock_graphics_mhz, gpu->clock_sm_mhz, gpu->clock_memory_mhz, gpu->clock_video_mhz};
    const uint64_t limit[] = {gpu->clock_max_graphics_mhz, gpu->clock_max_sm_mhz, gpu->clock_max_memory_mhz,
                              gpu->clock_max_video_mhz};
    if (type < 0 || type > NVML_CLOCK_VIDEO) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    return give_uint(most ? limit[type] : now[type], megahertz);
}

#define CLOCK_GETTER(function, most)                                              \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, int type, unsigned int *mhz) \
    {                                                                             \
        GPU_CALL(function, device)                                                \
        return give_clock(call.gpu, type, most, mhz);                             \
    }

CLOCK_GETTER(nvmlDeviceGetClockInfo, false)
CLOCK_GETTER(nvmlDeviceGetMaxClockInfo, true)
CLOCK_GETTER(nvmlDeviceGetApplicationsClock, true)
CLOCK_GETTER(nvmlDeviceGetMaxCustomerBoostClock, true)

EXPORT nvmlReturn_t nvmlDeviceGetClock(nvmlDevice_t device, int type, int which, unsigned int *megahertz)
{
    GPU_CALL(nvmlDeviceGetClock, device)
    return which < 0 || which > 3 ? NVML_ERROR_INVALID_ARGUMENT : give_clock(call.gpu, type, which != 0, megahertz);
}

#define ULLONG_GETTER(function, value)                                            \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, unsigned long long *number) \
    {                                                                             \
        GPU_CALL(function, device)                                                \
        return give_ullong(value, number);                                        \
    }

ULLONG_GETTER(nvmlDeviceGetCurrentClocksThrottleReasons, call.gpu->clock_event_reasons)
ULLONG_GETTER(nvmlDeviceGetSupportedClocksThrottleReasons, 0x1FF)
ULLONG_GETTER(nvmlDeviceGetCurrentClocksEventReasons, call.gpu->clock_event_reasons)
ULLONG_GETTER(nvmlDeviceGetSupportedClocksEventReasons, 0x1FF)

EXPORT nvmlReturn_t nvmlDeviceGetViolationStatus(nvmlDevice_t device, int policy, nvmlViolationTime_t *time)
{
    GPU_CALL(nvmlDeviceGetViolationStatus, device)
    if (time == NULL || policy < 0 || policy > 11) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    const struct gpu *gpu = call.gpu;
    const uint64_t values[] = {gpu->violation_power_ns,           gpu->violation_thermal_ns,
                               gpu->violation_sync_boost_ns,      gpu->violation_board_limit_ns,
                               gpu->violation_low_utilization_ns, gpu->violation_reliability_ns};
    uint64_t value = policy < 6 ? values[policy] : 0;
    if (value == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    *time = (nvmlViolationTime_t){.referenceTime = wall_us(), .violationTime = value};
    return NVML_SUCCESS;
}
