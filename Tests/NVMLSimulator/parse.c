/* Values of the scenario file. No strtoull or sscanf: newer C libraries give those new symbol versions,
   and the library must load in old root filesystems. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "simulator.h"

static const struct {
    const char *name;
    enum level level;
} symbols[] = {
#define SYMBOL(name, level) {#name, level},
#include "symbols.h"
#undef SYMBOL
};

static const char *const level_names[LEVEL_COUNT] = {
    "R450", "R470", "R510", "R525", "R535.43", "R535", "R550", "R570", "R580",
};

static const struct {
    const char *name;
    int16_t code;
} results[] = {
    {"SUCCESS", 0}, {"UNINITIALIZED", 1}, {"INVALID_ARGUMENT", 2}, {"NOT_SUPPORTED", 3}, {"NO_PERMISSION", 4},
    {"ALREADY_INITIALIZED", 5}, {"NOT_FOUND", 6}, {"INSUFFICIENT_SIZE", 7}, {"INSUFFICIENT_POWER", 8},
    {"DRIVER_NOT_LOADED", 9}, {"TIMEOUT", 10}, {"IRQ_ISSUE", 11}, {"LIBRARY_NOT_FOUND", 12},
    {"FUNCTION_NOT_FOUND", 13}, {"CORRUPTED_INFOROM", 14}, {"GPU_IS_LOST", 15}, {"RESET_REQUIRED", 16},
    {"OPERATING_SYSTEM", 17}, {"LIB_RM_VERSION_MISMATCH", 18}, {"IN_USE", 19}, {"MEMORY", 20}, {"NO_DATA", 21},
    {"VGPU_ECC_NOT_SUPPORTED", 22}, {"INSUFFICIENT_RESOURCES", 23}, {"FREQ_NOT_SUPPORTED", 24},
    {"ARGUMENT_VERSION_MISMATCH", 25}, {"DEPRECATED", 26}, {"NOT_READY", 27}, {"GPU_NOT_FOUND", 28},
    {"INVALID_STATE", 29}, {"RESET_TYPE_NOT_SUPPORTED", 30}, {"UNKNOWN", 999},
};

int symbol_named(const char *name)
{
    for (int i = 0; i < SYMBOL_COUNT; i++) {
        if (strcmp(symbols[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

const char *symbol_name(enum symbol symbol)
{
    return symbols[symbol].name;
}

enum level symbol_level(enum symbol symbol)
{
    return symbols[symbol].level;
}

bool parse_level(const char *text, enum level *level)
{
    for (int i = 0; i < LEVEL_COUNT; i++) {
        if (strcmp(level_names[i], text) == 0) {
            *level = (enum level)i;
            return true;
        }
    }
    return false;
}

/* Decimal, or hexadecimal after 0x. */
bool parse_number(const char *text, uint64_t *value)
{
    unsigned base = 10;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    uint64_t number = 0;
    if (*text == 0) {
        return false;
    }
    for (; *text != 0; text++) {
        unsigned digit;
        if (*text >= '0' && *text <= '9') {
            digit = (unsigned)(*text - '0');
        } else if (base == 16 && (*text | 32) >= 'a' && (*text | 32) <= 'f') {
            digit = (unsigned)((*text | 32) - 'a') + 10;
        } else {
            return false;
        }
        if (number > (UINT64_MAX - digit) / base) {
            return false;
        }
        number = number * base + digit;
    }
    *value = number;
    return true;
}

bool parse_switch(const char *text, uint64_t *value)
{
    static const char *const yes[] = {"true", "yes", "on", "enabled", "1"};
    static const char *const no[] = {"false", "no", "off", "disabled", "0"};
    for (size_t i = 0; i < 5; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *value = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

/* A name of the list above, with or without NVML_ERROR_ before it, or any number: real drivers invent codes. */
bool parse_result(const char *text, int16_t *result)
{
    if (strncmp(text, "NVML_ERROR_", 11) == 0) {
        text += 11;
    }
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        if (strcmp(results[i].name, text) == 0) {
            *result = results[i].code;
            return true;
        }
    }
    uint64_t number;
    if (parse_number(text, &number) && number <= INT16_MAX) {
        *result = (int16_t)number;
        return true;
    }
    return false;
}

static bool parse_uint(const char *text, unsigned int *value)
{
    uint64_t number;
    if (!parse_number(text, &number) || number > UINT32_MAX) {
        return false;
    }
    *value = (unsigned int)number;
    return true;
}

/* pid:MiB[:gpu-instance:compute-instance], separated by blanks; `unavailable` in place of MiB. */
bool parse_processes(char *text, struct process_list *list)
{
    struct process items[MAX_PROCESSES];
    unsigned int count = 0;
    char *rest = text;
    for (char *word; (word = strsep(&rest, " \t,")) != NULL;) {
        if (*word == 0) {
            continue;
        }
        if (count == MAX_PROCESSES) {
            return false;
        }
        struct process item = {.gpu_instance = UINT32_MAX, .compute_instance = UINT32_MAX};
        char *pid = strsep(&word, ":"), *memory = strsep(&word, ":");
        char *gpu_instance = strsep(&word, ":"), *compute_instance = strsep(&word, ":");
        uint64_t mib = 0;
        if (word != NULL || memory == NULL || !parse_uint(pid, &item.pid)) {
            return false;
        }
        if (strcmp(memory, "unavailable") == 0) {
            item.used_bytes = UNSUPPORTED;
        } else if (parse_number(memory, &mib) && mib < UINT64_MAX / MIB) {
            item.used_bytes = mib * MIB;
        } else {
            return false;
        }
        if (gpu_instance != NULL
            && (compute_instance == NULL || !parse_uint(gpu_instance, &item.gpu_instance)
                || !parse_uint(compute_instance, &item.compute_instance))) {
            return false;
        }
        items[count++] = item;
    }
    struct process *copy = NULL;
    if (count > 0) {
        copy = malloc(count * sizeof *copy);
        if (copy == NULL) {
            return false;
        }
        memcpy(copy, items, count * sizeof *copy);
    }
    free(list->items);
    list->items = copy;
    list->count = count;
    return true;
}

/* gpu=N type=xid|ecc_single|ecc_double|pstate|clock|power_source|mig_config|NUMBER data=N [count=N] [gi=N ci=N] */
bool parse_event(char *text, struct event *event)
{
    static const struct {
        const char *name;
        uint64_t type;
    } types[] = {
        {"xid", nvmlEventTypeXidCriticalError}, {"ecc_single", nvmlEventTypeSingleBitEccError},
        {"ecc_double", nvmlEventTypeDoubleBitEccError}, {"pstate", nvmlEventTypePState},
        {"clock", nvmlEventTypeClock}, {"power_source", nvmlEventTypePowerSourceChange},
        {"mig_config", nvmlEventMigConfigChange},
    };
    event->gpu = 0;
    event->count = 1;
    event->type = 0;
    event->data = 0;
    event->gpu_instance = event->compute_instance = UINT32_MAX;
    char *rest = text;
    for (char *word; (word = strsep(&rest, " \t")) != NULL;) {
        if (*word == 0) {
            continue;
        }
        char *name = strsep(&word, "=");
        if (word == NULL) {
            return false;
        }
        bool good = true;
        if (strcmp(name, "gpu") == 0) {
            good = parse_uint(word, &event->gpu) && event->gpu < MAX_GPUS;
        } else if (strcmp(name, "data") == 0) {
            good = parse_number(word, &event->data);
        } else if (strcmp(name, "count") == 0) {
            good = parse_uint(word, &event->count) && event->count > 0;
        } else if (strcmp(name, "gi") == 0) {
            good = parse_uint(word, &event->gpu_instance);
        } else if (strcmp(name, "ci") == 0) {
            good = parse_uint(word, &event->compute_instance);
        } else if (strcmp(name, "type") == 0) {
            for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
                if (strcmp(types[i].name, word) == 0) {
                    event->type = types[i].type;
                }
            }
            good = event->type != 0 || parse_number(word, &event->type);
        } else {
            good = false;
        }
        if (!good) {
            return false;
        }
    }
    return event->type != 0;
}

/* TYPE NUMBER (u32, u64, s32, s64, u16, double), or a return code. */
bool parse_field(char *text, struct field_override *field)
{
    char *rest = text;
    char *type = strsep(&rest, " \t");
    field->result = NVML_SUCCESS;
    field->value.ullVal = 0;
    if (rest == NULL) {
        int16_t code;
        if (!parse_result(type, &code)) {
            return false;
        }
        field->result = code;
        field->value_type = NVML_VALUE_TYPE_UNSIGNED_INT;
        return true;
    }
    rest += strspn(rest, " \t");
    bool negative = *rest == '-';
    uint64_t number;
    if (!parse_number(rest + (negative ? 1 : 0), &number)) {
        return false;
    }
    long long value = negative ? -(long long)number : (long long)number;
    if (strcmp(type, "double") == 0) {
        field->value_type = NVML_VALUE_TYPE_DOUBLE;
        field->value.dVal = (double)value;
    } else if (strcmp(type, "u32") == 0) {
        field->value_type = NVML_VALUE_TYPE_UNSIGNED_INT;
        field->value.uiVal = (unsigned int)number;
    } else if (strcmp(type, "u64") == 0) {
        field->value_type = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
        field->value.ullVal = number;
    } else if (strcmp(type, "s64") == 0) {
        field->value_type = NVML_VALUE_TYPE_SIGNED_LONG_LONG;
        field->value.sllVal = value;
    } else if (strcmp(type, "s32") == 0) {
        field->value_type = NVML_VALUE_TYPE_SIGNED_INT;
        field->value.siVal = (int)value;
    } else if (strcmp(type, "u16") == 0) {
        field->value_type = NVML_VALUE_TYPE_UNSIGNED_SHORT;
        field->value.usVal = (unsigned short)number;
    } else {
        return false;
    }
    return true;
}
