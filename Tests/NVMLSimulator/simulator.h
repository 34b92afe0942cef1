/* The simulator's inside: the scenario, and what every exported function does first. */
#ifndef SIMULATOR_H
#define SIMULATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "CNVML.h"

#define EXPORT __attribute__((visibility("default")))

enum {
    MAX_GPUS = 16,
    MAX_MIG = 8, /* slots per GPU; seven instances at most, and one gap to be found */
    MAX_PROCESSES = 64,
    MAX_EVENTS = 256,
    MAX_FIELDS = 48,
    TEXT = 96, /* the longest string NVML hands out, with its zero */
};

/* Driver branches, oldest first. R535_43 is the one whose process lists have 32-byte entries. */
enum level { R450, R470, R510, R525, R535_43, R535, R550, R570, R580, LEVEL_COUNT };

enum symbol {
#define SYMBOL(name, level) SYMBOL_##name,
#include "symbols.h"
#undef SYMBOL
    SYMBOL_COUNT
};

/* What the scenario says about one function: a result in place of the real one, and a delay. */
struct behaviour {
    int16_t result[SYMBOL_COUNT];  /* NO_OVERRIDE, or a return code */
    int32_t hang_ms[SYMBOL_COUNT]; /* 0 no, HANG_FOREVER, or milliseconds */
};
#define NO_OVERRIDE (-1)
#define HANG_FOREVER (-1)

/* A number of the scenario that is `unsupported`: the function answers NOT_SUPPORTED. */
#define UNSUPPORTED UINT64_MAX

struct process {
    unsigned int pid;
    uint64_t used_bytes; /* UNSUPPORTED: NVML_VALUE_NOT_AVAILABLE */
    unsigned int gpu_instance;
    unsigned int compute_instance;
};

struct process_list {
    unsigned int count;
    struct process *items;
};

/* What the profiling interface answers, in percent and MiB per second, by nvmlGpmMetric_t.metricId. */
struct gpm {
    uint64_t graphics, sm, sm_occupancy, tensor, dram, fp64, fp32, fp16, pcie_tx, pcie_rx, nvlink_rx, nvlink_tx;
};

struct mig {
    bool present;
    struct gpm gpm;
    char uuid[TEXT];
    char profile[TEXT];
    uint64_t gpu_instance, compute_instance, slices, multiprocessors;
    uint64_t memory_total_mib, memory_used_mib;
};

struct field_override {
    unsigned int id;
    nvmlReturn_t result;
    int value_type;
    nvmlValue_t value;
};

struct gpu {
    char uuid[TEXT], name[TEXT], serial[TEXT], bus_id[TEXT], vbios[TEXT], board_part[TEXT], inforom[TEXT], gsp[TEXT];
    bool lost;
    uint64_t utilization_gpu, utilization_memory, utilization_encoder, utilization_decoder, utilization_jpeg,
        utilization_ofa;
    uint64_t memory_total_mib, memory_used_mib, memory_reserved_mib, bar1_total_mib, bar1_used_mib;
    uint64_t power_mw, power_limit_mw, power_default_limit_mw, power_min_limit_mw, power_max_limit_mw;
    uint64_t energy_mj, energy_start_boottime_ms, energy_rate_mw;
    uint64_t temperature_c, temperature_memory_c, temperature_slowdown_c, temperature_shutdown_c;
    uint64_t clock_graphics_mhz, clock_sm_mhz, clock_memory_mhz, clock_video_mhz;
    uint64_t clock_max_graphics_mhz, clock_max_sm_mhz, clock_max_memory_mhz, clock_max_video_mhz;
    uint64_t clock_event_reasons, fan_percent, performance_state;
    uint64_t ecc_mode, ecc_corrected_volatile, ecc_corrected_aggregate, ecc_uncorrected_volatile,
        ecc_uncorrected_aggregate;
    uint64_t remapped_corrected, remapped_uncorrected, remapped_pending, remapped_failure, recovery_action;
    uint64_t pcie_generation, pcie_width, pcie_max_generation, pcie_max_width, pcie_replay, pcie_tx_bytes,
        pcie_rx_bytes, pcie_tx_kib_s, pcie_rx_kib_s;
    uint64_t nvlink_count, nvlink_tx_kib, nvlink_rx_kib, fabric_state;
    uint64_t nvlink_crc_flit, nvlink_crc_data, nvlink_replay, nvlink_recovery;
    uint64_t violation_power_ns, violation_thermal_ns, violation_sync_boost_ns, violation_board_limit_ns,
        violation_low_utilization_ns, violation_reliability_ns;
    uint64_t retired_sbe, retired_dbe, retired_pending, vgpu_licensed, gpm_supported;
    struct gpm gpm;
    uint64_t minor, brand, architecture, compute_major, compute_minor, cores, memory_bus_width, module_id;
    uint64_t virtualization_mode, persistence_mode, compute_mode, accounting_mode;
    uint64_t mig_mode, mig_pending, mig_max;
    struct mig mig[MAX_MIG];
    struct process_list compute, graphics, mps;
    unsigned int field_count;
    struct field_override fields[MAX_FIELDS];
    struct behaviour behaviour;
};

struct event {
    unsigned int serial, count; /* stands for `count` events with ascending serials */
    unsigned int gpu;
    uint64_t type, data;
    unsigned int gpu_instance, compute_instance;
};

/* One version of the scenario file. Never changes once published; freed with its last reference. */
struct scenario {
    int references;
    uint64_t loaded_boottime_ms;
    enum level level;
    char driver_version[TEXT], nvml_version[TEXT];
    uint64_t cuda_version, gpu_count, unterminated_strings, v3_stride, growing_lists;
    struct behaviour behaviour;
    struct gpu gpus[MAX_GPUS];
    unsigned int event_count;
    struct event events[MAX_EVENTS]; /* in ascending serial order */
};

/* ---- scenario.c ---- */
/* The scenario as the file says it now. Give it back with scenario_release. */
const struct scenario *scenario_acquire(void);
void scenario_release(const struct scenario *scenario);
/* The directory to watch for changes of the scenario file; fits PATH_MAX. */
void scenario_directory(char *directory, size_t size);

/* ---- fields.c ---- */
/* Remembers from when on the GPUs' utilization is what this scenario says: samples of before keep their value. */
void samples_note(const struct scenario *scenario);

/* ---- keys.c ---- */
/* A scenario with every default set. */
void scenario_set_defaults(struct scenario *scenario, enum level level);
/* Sets a plain value by its key's name. Returns NULL, or what is wrong. */
const char *scenario_set_top(struct scenario *scenario, const char *name, const char *value);
const char *scenario_set_gpu(struct gpu *gpu, const char *name, const char *value);
const char *scenario_set_mig(struct mig *mig, const char *name, const char *value);
/* What follows from other keys, once the whole file is read. */
void scenario_finish(struct scenario *scenario);
void scenario_free_lists(struct scenario *scenario);

/* ---- apply.c ---- */
/* Applies one `key = value`. Returns NULL, or what is wrong with the line. */
const char *scenario_set(struct scenario *scenario, char *key, char *value);

/* ---- parse.c: values ---- */
bool parse_number(const char *text, uint64_t *value);
bool parse_switch(const char *text, uint64_t *value);
bool parse_result(const char *text, int16_t *result);
bool parse_level(const char *text, enum level *level);
bool parse_processes(char *text, struct process_list *list);
bool parse_event(char *text, struct event *event);
bool parse_field(char *text, struct field_override *field);
int symbol_named(const char *name);
const char *symbol_name(enum symbol symbol);
enum level symbol_level(enum symbol symbol);

/* ---- call.c ---- */
struct call {
    const struct scenario *scenario;
    const struct gpu *gpu; /* NULL for calls about the whole system */
    const struct mig *mig; /* NULL for a whole GPU */
    unsigned int gpu_index, mig_index;
    nvmlReturn_t result; /* anything but NVML_SUCCESS: the answer is already known */
};

void call_begin_library(struct call *call, enum symbol symbol);
void call_begin_system(struct call *call, enum symbol symbol);
void call_begin_device(struct call *call, enum symbol symbol, nvmlDevice_t device);
/* What the scenario says about `symbol` for one GPU that was found by other means than a handle. */
nvmlReturn_t call_check_gpu(const struct call *call, enum symbol symbol, unsigned int gpu_index);
void call_end(struct call *call);
nvmlDevice_t device_handle(unsigned int gpu_index, int mig_index); /* mig_index -1: the whole GPU */
nvmlReturn_t library_retain(void);
nvmlReturn_t library_release(void);

#define BEGIN_(kind, ...)                                        \
    __attribute__((cleanup(call_end))) struct call call;         \
    call_begin_##kind(&call, __VA_ARGS__);                       \
    if (call.result != NVML_SUCCESS) {                           \
        return call.result;                                      \
    }

/* Works without nvmlInit. */
#define LIBRARY_CALL(name) BEGIN_(library, SYMBOL_##name)
/* Needs nvmlInit. */
#define SYSTEM_CALL(name) BEGIN_(system, SYMBOL_##name)
/* Needs a handle of a GPU or MIG instance. */
#define DEVICE_CALL(name, device) BEGIN_(device, SYMBOL_##name, device)
/* Needs a handle of a whole GPU: a MIG instance has no such property. */
#define GPU_CALL(name, device)           \
    DEVICE_CALL(name, device)            \
    if (call.mig != NULL) {              \
        return NVML_ERROR_NOT_SUPPORTED; \
    }

/* ---- answers ---- */
nvmlReturn_t give_string(const struct call *call, const char *text, char *buffer, unsigned int length);
nvmlReturn_t give_uint(uint64_t value, unsigned int *out);
nvmlReturn_t give_ullong(uint64_t value, unsigned long long *out);

/* ---- energy.c, clocks ---- */
uint64_t boottime_ms(void);
uint64_t wall_us(void);
uint64_t energy_now_mj(const struct call *call);

#define MIB 1048576ull

#endif
