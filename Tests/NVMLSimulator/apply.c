/* One line of the scenario file: behaviour, events, processes and fields here, plain values in keys.c. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "simulator.h"

/* result.FUNCTION or hang.FUNCTION, `*` for every function. Returns false when `key` is something else. */
static bool set_behaviour(struct behaviour *behaviour, const char *key, const char *value, const char **problem)
{
    bool result = strncmp(key, "result.", 7) == 0;
    if (!result && strncmp(key, "hang.", 5) != 0) {
        return false;
    }
    const char *name = key + (result ? 7 : 5);
    int symbol = symbol_named(name);
    bool all = strcmp(name, "*") == 0;
    int16_t code = NO_OVERRIDE;
    int32_t hang = 0;
    uint64_t number;
    *problem = NULL;
    if (symbol < 0 && !all) {
        *problem = "unknown function";
    } else if (result && strcmp(value, "none") != 0 && !parse_result(value, &code)) {
        *problem = "unknown return code";
    } else if (!result && strcmp(value, "true") == 0) {
        hang = HANG_FOREVER;
    } else if (!result && strcmp(value, "false") != 0) {
        if (!parse_number(value, &number) || number > INT32_MAX) {
            *problem = "expected true, false or milliseconds";
        } else {
            hang = (int32_t)number;
        }
    }
    for (int i = 0; i < SYMBOL_COUNT && *problem == NULL; i++) {
        if (all || i == symbol) {
            if (result) {
                behaviour->result[i] = code;
            } else {
                behaviour->hang_ms[i] = hang;
            }
        }
    }
    return true;
}

static const char *set_field(struct gpu *gpu, const char *id, char *value)
{
    struct field_override field;
    uint64_t number;
    if (!parse_number(id, &number) || number > UINT32_MAX || !parse_field(value, &field)) {
        return "expected field.ID = TYPE NUMBER, or a return code";
    }
    field.id = (unsigned int)number;
    if (gpu->field_count == MAX_FIELDS) {
        return "too many fields";
    }
    gpu->fields[gpu->field_count++] = field;
    return NULL;
}

static const char *set_gpu(struct gpu *gpu, char *key, char *value)
{
    const char *problem;
    uint64_t number;
    if (set_behaviour(&gpu->behaviour, key, value, &problem)) {
        return problem;
    }
    if (strcmp(key, "lost") == 0) {
        if (!parse_switch(value, &number)) {
            return "expected true or false";
        }
        gpu->lost = number != 0;
        return NULL;
    }
    struct process_list *list = strcmp(key, "processes") == 0            ? &gpu->compute
                                : strcmp(key, "processes.graphics") == 0 ? &gpu->graphics
                                : strcmp(key, "processes.mps") == 0      ? &gpu->mps
                                                                         : NULL;
    if (list != NULL) {
        return parse_processes(value, list) ? NULL : "expected pid:MiB or pid:MiB:gi:ci, separated by blanks";
    }
    if (strncmp(key, "field.", 6) == 0) {
        return set_field(gpu, key + 6, value);
    }
    if (strncmp(key, "mig.", 4) == 0 && key[4] >= '0' && key[4] <= '9') {
        if (key[4] - '0' >= MAX_MIG || key[5] != '.') {
            return "MIG slots are 0 to 7";
        }
        struct mig *mig = &gpu->mig[key[4] - '0'];
        problem = scenario_set_mig(mig, key + 6, value);
        mig->present = mig->present || problem == NULL;
        return problem;
    }
    return scenario_set_gpu(gpu, key, value);
}

static const char *set_event(struct scenario *scenario, const char *serial, char *value)
{
    struct event event;
    uint64_t number;
    if (!parse_number(serial, &number) || number == 0 || number > UINT32_MAX || !parse_event(value, &event)) {
        return "expected event.SERIAL = gpu=N type=xid data=N [count=N]";
    }
    if (scenario->event_count == MAX_EVENTS) {
        return "too many events";
    }
    event.serial = (unsigned int)number;
    unsigned at = scenario->event_count++;
    for (; at > 0 && scenario->events[at - 1].serial > event.serial; at--) {
        scenario->events[at] = scenario->events[at - 1];
    }
    scenario->events[at] = event;
    return NULL;
}

const char *scenario_set(struct scenario *scenario, char *key, char *value)
{
    const char *problem;
    if (strcmp(key, "driver.level") == 0) {
        return parse_level(value, &scenario->level) ? NULL : "unknown driver level";
    }
    if (strcmp(key, "init.result") == 0) {
        int16_t code;
        if (!parse_result(value, &code)) {
            return "unknown return code";
        }
        scenario->behaviour.result[SYMBOL_nvmlInit] = code;
        scenario->behaviour.result[SYMBOL_nvmlInit_v2] = code;
        scenario->behaviour.result[SYMBOL_nvmlInitWithFlags] = code;
        return NULL;
    }
    if (set_behaviour(&scenario->behaviour, key, value, &problem)) {
        return problem;
    }
    if (strncmp(key, "event.", 6) == 0) {
        return set_event(scenario, key + 6, value);
    }
    if (strcmp(key, "gpu.count") == 0) {
        uint64_t count;
        if (!parse_number(value, &count) || count > MAX_GPUS) {
            return "expected 0 to 16";
        }
        scenario->gpu_count = count;
        return NULL;
    }
    if (strncmp(key, "gpu.", 4) != 0) {
        return scenario_set_top(scenario, key, value);
    }
    char *name = key + 4;
    char *index = strsep(&name, ".");
    uint64_t number;
    if (name == NULL) {
        return "unknown key";
    }
    if (strcmp(index, "*") != 0) {
        return parse_number(index, &number) && number < MAX_GPUS ? set_gpu(&scenario->gpus[number], name, value)
                                                                 : "GPUs are 0 to 15";
    }
    /* A parser may cut the value up, so each GPU gets a copy of its own. */
    char copy[4096];
    for (unsigned i = 0; i < MAX_GPUS; i++) {
        snprintf(copy, sizeof copy, "%s", value);
        problem = set_gpu(&scenario->gpus[i], name, copy);
        if (problem != NULL) {
            return problem;
        }
    }
    return NULL;
}
