/* Event sets. Events of the scenario carry ascending serial numbers; a set delivers each serial once, and
   only those that appear in the file after a device was registered. */
#define _GNU_SOURCE
#include <pthread.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "abi.h"
#include "simulator.h"

struct nvmlEventSet_st {
    struct nvmlEventSet_st *next;
    int watch; /* an inotify descriptor on the scenario's directory, or -1 */
    unsigned int last_serial;
    uint64_t types[MAX_GPUS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct nvmlEventSet_st *sets;
static unsigned int alive;

static bool is_set(nvmlEventSet_t set)
{
    pthread_mutex_lock(&lock);
    struct nvmlEventSet_st *at = sets;
    while (at != NULL && at != set) {
        at = at->next;
    }
    pthread_mutex_unlock(&lock);
    return at != NULL;
}

EXPORT nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set)
{
    SYSTEM_CALL(nvmlEventSetCreate)
    if (set == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    struct nvmlEventSet_st *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        return NVML_ERROR_MEMORY;
    }
    char directory[4096];
    scenario_directory(directory, sizeof directory);
    fresh->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fresh->watch >= 0) {
        inotify_add_watch(fresh->watch, directory, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MODIFY);
    }
    pthread_mutex_lock(&lock);
    alive++;
    fresh->next = sets;
    sets = fresh;
    pthread_mutex_unlock(&lock);
    *set = fresh;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
    SYSTEM_CALL(nvmlEventSetFree)
    pthread_mutex_lock(&lock);
    struct nvmlEventSet_st **at = &sets;
    while (*at != NULL && *at != set) {
        at = &(*at)->next;
    }
    struct nvmlEventSet_st *found = *at;
    if (found != NULL) {
        *at = found->next;
        alive--;
    }
    pthread_mutex_unlock(&lock);
    if (found == NULL) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (found->watch >= 0) {
        close(found->watch);
    }
    free(found);
    return NVML_SUCCESS;
}

#define SUPPORTED                                                                                              \
    (nvmlEventTypeSingleBitEccError | nvmlEventTypeDoubleBitEccError | nvmlEventTypeXidCriticalError           \
     | nvmlEventTypeClock | nvmlEventMigConfigChange)

EXPORT nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long *types)
{
    GPU_CALL(nvmlDeviceGetSupportedEventTypes, device)
    return give_ullong(SUPPORTED, types);
}

EXPORT nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set)
{
    GPU_CALL(nvmlDeviceRegisterEvents, device)
    if (!is_set(set)) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if ((types & ~SUPPORTED) != 0) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    pthread_mutex_lock(&lock);
    bool first = true;
    for (int i = 0; i < MAX_GPUS; i++) {
        first = first && set->types[i] == 0;
    }
    if (first && call.scenario->event_count > 0) {
        const struct event *last = &call.scenario->events[call.scenario->event_count - 1];
        set->last_serial = last->serial + last->count - 1;
    }
    set->types[call.gpu_index] |= types;
    pthread_mutex_unlock(&lock);
    return NVML_SUCCESS;
}

/* Takes the next event out of the set. GPU_IS_LOST when there is none and a registered GPU is gone. */
static nvmlReturn_t next_event(const struct scenario *scenario, nvmlEventSet_t set, nvmlEventData_t *data)
{
    nvmlReturn_t result = NVML_ERROR_TIMEOUT;
    pthread_mutex_lock(&lock);
    for (unsigned int i = 0; i < scenario->event_count && result != NVML_SUCCESS; i++) {
        const struct event *event = &scenario->events[i];
        if (event->serial + event->count - 1 <= set->last_serial) {
            continue;
        }
        /* One at a time of those that this line stands for; all at once when nobody asked for them. */
        bool wanted = (set->types[event->gpu] & event->type) != 0;
        unsigned int next = set->last_serial < event->serial ? event->serial : set->last_serial + 1;
        set->last_serial = wanted ? next : event->serial + event->count - 1;
        if (wanted) {
            *data = (nvmlEventData_t){
                .device = device_handle(event->gpu, -1), .eventType = event->type, .eventData = event->data,
                .gpuInstanceId = event->gpu_instance, .computeInstanceId = event->compute_instance,
            };
            result = NVML_SUCCESS;
        }
    }
    for (unsigned int i = 0; i < MAX_GPUS && result == NVML_ERROR_TIMEOUT; i++) {
        if (set->types[i] != 0 && i < scenario->gpu_count && scenario->gpus[i].lost) {
            result = NVML_ERROR_GPU_IS_LOST;
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

/* Sleeps until the scenario's directory changes; a quarter second at most, for files that inotify misses. */
static void wait_for_change(nvmlEventSet_t set, uint64_t remaining_ms)
{
    struct pollfd watch = {.fd = set->watch, .events = POLLIN};
    int wait = remaining_ms < 250 ? (int)remaining_ms : 250;
    if (poll(&watch, set->watch >= 0 ? 1 : 0, wait) > 0) {
        char buffer[4096];
        while (read(set->watch, buffer, sizeof buffer) > 0) {
        }
    }
}

static nvmlReturn_t wait_for_event(struct call *call, enum symbol symbol, nvmlEventSet_t set, nvmlEventData_t *data,
                                   unsigned int timeout_ms)
{
    if (data == NULL || !is_set(set)) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    uint64_t deadline = boottime_ms() + timeout_ms;
    for (;;) {
        nvmlReturn_t result = next_event(call->scenario, set, data);
        uint64_t now = boottime_ms();
        if (result != NVML_ERROR_TIMEOUT || now >= deadline) {
            return result;
        }
        wait_for_change(set, deadline - now);
        const struct scenario *fresh = scenario_acquire();
        if (fresh != NULL) {
            scenario_release(call->scenario);
            call->scenario = fresh;
        }
        if (call->scenario->behaviour.result[symbol] != NO_OVERRIDE) {
            return call->scenario->behaviour.result[symbol];
        }
    }
}

EXPORT nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout_ms)
{
    SYSTEM_CALL(nvmlEventSetWait_v2)
    return wait_for_event(&call, SYMBOL_nvmlEventSetWait_v2, set, data, timeout_ms);
}

/* The first version leaves the instance ids alone. */
EXPORT nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout_ms)
{
    SYSTEM_CALL(nvmlEventSetWait)
    nvmlEventData_t event = {0};
    nvmlReturn_t result = wait_for_event(&call, SYMBOL_nvmlEventSetWait, set, data == NULL ? NULL : &event, timeout_ms);
    if (result == NVML_SUCCESS) {
        data->device = event.device;
        data->eventType = event.eventType;
        data->eventData = event.eventData;
    }
    return result;
}

/* Not part of NVML: event sets that were created and not freed. */
EXPORT unsigned int nvmlSimulatorEventSets(void)
{
    pthread_mutex_lock(&lock);
    unsigned int answer = alive;
    pthread_mutex_unlock(&lock);
    return answer;
}
