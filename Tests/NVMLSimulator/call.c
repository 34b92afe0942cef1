/* What happens first in every exported function: driver level, simulated hang, simulated result, handle. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simulator.h"

struct nvmlDevice_st {
    int8_t gpu, mig;
};

static struct nvmlDevice_st handles[MAX_GPUS][MAX_MIG + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int initialized;
static unsigned long long calls[SYMBOL_COUNT];

nvmlReturn_t library_retain(void)
{
    pthread_mutex_lock(&lock);
    initialized++;
    pthread_mutex_unlock(&lock);
    return NVML_SUCCESS;
}

/* What a whole program called, for who measures it from outside. */
static void write_calls(void)
{
    const char *path = getenv("NVML_SIMULATOR_CALLS");
    FILE *file = path == NULL ? NULL : fopen(path, "we");
    if (file == NULL) {
        return;
    }
    for (int i = 0; i < SYMBOL_COUNT; i++) {
        unsigned long long count = __atomic_load_n(&calls[i], __ATOMIC_RELAXED);
        if (count > 0) {
            fprintf(file, "%s %llu\n", symbol_name((enum symbol)i), count);
        }
    }
    fclose(file);
}

nvmlReturn_t library_release(void)
{
    pthread_mutex_lock(&lock);
    nvmlReturn_t result = initialized > 0 ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
    initialized -= initialized > 0;
    if (initialized == 0) {
        write_calls();
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static bool is_initialized(void)
{
    pthread_mutex_lock(&lock);
    bool answer = initialized > 0;
    pthread_mutex_unlock(&lock);
    return answer;
}

nvmlDevice_t device_handle(unsigned int gpu_index, int mig_index)
{
    struct nvmlDevice_st *handle = &handles[gpu_index][mig_index + 1];
    return handle;
}

/* Handles are places in a table, so any pointer can be told good or bad without touching it. */
static bool find_handle(nvmlDevice_t device, unsigned int *gpu_index, int *mig_index)
{
    uintptr_t start = (uintptr_t)&handles[0][0], at = (uintptr_t)device;
    if (at < start || at >= start + sizeof handles || (at - start) % sizeof **handles != 0) {
        return false;
    }
    size_t place = (at - start) / sizeof **handles;
    *gpu_index = (unsigned int)(place / (MAX_MIG + 1));
    *mig_index = (int)(place % (MAX_MIG + 1)) - 1;
    return true;
}

/* Blocks while the scenario says so; returns with the scenario that let go. */
static void hang(struct call *call, enum symbol symbol, const struct gpu *(*gpu_of)(const struct call *))
{
    uint64_t start = boottime_ms();
    for (;;) {
        const struct gpu *gpu = gpu_of == NULL ? NULL : gpu_of(call);
        int32_t wait = call->scenario->behaviour.hang_ms[symbol];
        if (wait == 0 && gpu != NULL) {
            wait = gpu->behaviour.hang_ms[symbol];
        }
        if (wait == 0 || (wait > 0 && boottime_ms() - start >= (uint64_t)wait)) {
            return;
        }
        struct timespec pause = {.tv_nsec = wait > 0 && wait < 10 ? 1000000 : 10000000};
        nanosleep(&pause, NULL);
        const struct scenario *fresh = scenario_acquire();
        if (fresh != NULL) {
            scenario_release(call->scenario);
            call->scenario = fresh;
        }
    }
}

static const struct gpu *gpu_at_index(const struct call *call)
{
    return call->gpu_index < call->scenario->gpu_count ? &call->scenario->gpus[call->gpu_index] : NULL;
}

static bool open_call(struct call *call, enum symbol symbol)
{
    memset(call, 0, sizeof *call);
    __atomic_add_fetch(&calls[symbol], 1, __ATOMIC_RELAXED);
    call->scenario = scenario_acquire();
    if (call->scenario == NULL) {
        call->result = NVML_ERROR_MEMORY;
    } else if (symbol_level(symbol) > call->scenario->level) {
        call->result = NVML_ERROR_FUNCTION_NOT_FOUND;
    }
    return call->result == NVML_SUCCESS;
}

static void override(struct call *call, const struct behaviour *behaviour, enum symbol symbol)
{
    if (call->result == NVML_SUCCESS && behaviour->result[symbol] != NO_OVERRIDE) {
        call->result = behaviour->result[symbol];
    }
}

void call_begin_library(struct call *call, enum symbol symbol)
{
    if (open_call(call, symbol)) {
        hang(call, symbol, NULL);
        override(call, &call->scenario->behaviour, symbol);
    }
}

void call_begin_system(struct call *call, enum symbol symbol)
{
    if (open_call(call, symbol)) {
        if (!is_initialized()) {
            call->result = NVML_ERROR_UNINITIALIZED;
            return;
        }
        hang(call, symbol, NULL);
        override(call, &call->scenario->behaviour, symbol);
    }
}

void call_begin_device(struct call *call, enum symbol symbol, nvmlDevice_t device)
{
    if (!open_call(call, symbol)) {
        return;
    }
    int mig_index = -1;
    if (!is_initialized()) {
        call->result = NVML_ERROR_UNINITIALIZED;
    } else if (!find_handle(device, &call->gpu_index, &mig_index)) {
        call->result = NVML_ERROR_INVALID_ARGUMENT;
    }
    if (call->result != NVML_SUCCESS) {
        return;
    }
    hang(call, symbol, gpu_at_index);
    override(call, &call->scenario->behaviour, symbol);
    const struct gpu *gpu = gpu_at_index(call);
    if (gpu == NULL) {
        call->result = call->result != NVML_SUCCESS ? call->result : NVML_ERROR_INVALID_ARGUMENT;
        return;
    }
    override(call, &gpu->behaviour, symbol);
    if (call->result == NVML_SUCCESS && gpu->lost) {
        call->result = NVML_ERROR_GPU_IS_LOST;
    }
    call->gpu = gpu;
    if (mig_index >= 0 && call->result == NVML_SUCCESS) {
        /* As with a real driver, a handle of a MIG slot follows whatever instance is in the slot now. */
        call->mig_index = (unsigned int)mig_index;
        call->mig = &gpu->mig[mig_index];
        if (gpu->mig_mode != 1 || !call->mig->present) {
            call->result = NVML_ERROR_INVALID_ARGUMENT;
        }
    }
}

nvmlReturn_t call_check_gpu(const struct call *call, enum symbol symbol, unsigned int gpu_index)
{
    if (gpu_index >= call->scenario->gpu_count) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    const struct gpu *gpu = &call->scenario->gpus[gpu_index];
    if (gpu->behaviour.result[symbol] != NO_OVERRIDE) {
        return gpu->behaviour.result[symbol];
    }
    return gpu->lost ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
}

void call_end(struct call *call)
{
    if (call->scenario != NULL) {
        scenario_release(call->scenario);
    }
}

nvmlReturn_t give_string(const struct call *call, const char *text, char *buffer, unsigned int length)
{
    size_t size = strlen(text) + 1;
    if (buffer == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (size > length) {
        return NVML_ERROR_INSUFFICIENT_SIZE;
    }
    memcpy(buffer, text, size);
    if (call->scenario->unterminated_strings == 1) {
        memset(buffer + size - 1, '~', length - size + 1);
    }
    return NVML_SUCCESS;
}

nvmlReturn_t give_uint(uint64_t value, unsigned int *out)
{
    if (out == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (value == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    *out = (unsigned int)value;
    return NVML_SUCCESS;
}

nvmlReturn_t give_ullong(uint64_t value, unsigned long long *out)
{
    if (out == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (value == UNSUPPORTED) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    *out = value;
    return NVML_SUCCESS;
}

/* Not part of NVML: how often a function was called in this process; every function for NULL. */
EXPORT unsigned long long nvmlSimulatorCallCount(const char *function)
{
    unsigned long long total = 0;
    int symbol = function == NULL ? -1 : symbol_named(function);
    for (int i = 0; i < SYMBOL_COUNT; i++) {
        if (function == NULL || i == symbol) {
            total += __atomic_load_n(&calls[i], __ATOMIC_RELAXED);
        }
    }
    return total;
}
