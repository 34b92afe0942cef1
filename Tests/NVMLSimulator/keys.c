/* The keys of the scenario file and their defaults: an idle H100 80GB HBM3. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator.h"

enum kind { U32, U64, SWITCH, STRING };

struct key {
    const char *name;
    size_t offset;
    enum kind kind;
    uint64_t initial;
};

#define GPU(member) offsetof(struct gpu, member)
static const struct key gpu_keys[] = {
    {"uuid", GPU(uuid), STRING, 0},
    {"name", GPU(name), STRING, 0},
    {"serial", GPU(serial), STRING, 0},
    {"pci.bus_id", GPU(bus_id), STRING, 0},
    {"vbios", GPU(vbios), STRING, 0},
    {"board_part", GPU(board_part), STRING, 0},
    {"inforom", GPU(inforom), STRING, 0},
    {"gsp_firmware", GPU(gsp), STRING, 0},
    {"utilization.gpu", GPU(utilization_gpu), U32, 0},
    {"utilization.memory", GPU(utilization_memory), U32, 0},
    {"utilization.encoder", GPU(utilization_encoder), U32, 0},
    {"utilization.decoder", GPU(utilization_decoder), U32, 0},
    {"utilization.jpeg", GPU(utilization_jpeg), U32, 0},
    {"utilization.ofa", GPU(utilization_ofa), U32, 0},
    {"memory.total_mib", GPU(memory_total_mib), U32, 81559},
    {"memory.used_mib", GPU(memory_used_mib), U32, 0},
    {"memory.reserved_mib", GPU(memory_reserved_mib), U32, 551},
    {"bar1.total_mib", GPU(bar1_total_mib), U32, 131072},
    {"bar1.used_mib", GPU(bar1_used_mib), U32, 1},
    {"power.mw", GPU(power_mw), U32, 70000},
    {"power.limit_mw", GPU(power_limit_mw), U32, 700000},
    {"power.default_limit_mw", GPU(power_default_limit_mw), U32, 700000},
    {"power.min_limit_mw", GPU(power_min_limit_mw), U32, 200000},
    {"power.max_limit_mw", GPU(power_max_limit_mw), U32, 700000},
    {"energy.mj", GPU(energy_mj), U64, 0},
    {"energy.start_boottime_ms", GPU(energy_start_boottime_ms), U64, 0},
    {"energy.rate_mw", GPU(energy_rate_mw), U32, UNSUPPORTED}, /* not set: follows power.mw */
    {"temperature.c", GPU(temperature_c), U32, 30},
    {"temperature.memory_c", GPU(temperature_memory_c), U32, 40},
    {"temperature.slowdown_c", GPU(temperature_slowdown_c), U32, 87},
    {"temperature.shutdown_c", GPU(temperature_shutdown_c), U32, 92},
    {"clock.graphics_mhz", GPU(clock_graphics_mhz), U32, 345},
    {"clock.sm_mhz", GPU(clock_sm_mhz), U32, 345},
    {"clock.memory_mhz", GPU(clock_memory_mhz), U32, 2619},
    {"clock.video_mhz", GPU(clock_video_mhz), U32, 765},
    {"clock.max_graphics_mhz", GPU(clock_max_graphics_mhz), U32, 1980},
    {"clock.max_sm_mhz", GPU(clock_max_sm_mhz), U32, 1980},
    {"clock.max_memory_mhz", GPU(clock_max_memory_mhz), U32, 2619},
    {"clock.max_video_mhz", GPU(clock_max_video_mhz), U32, 1545},
    {"clock.event_reasons", GPU(clock_event_reasons), U64, 1},
    {"fan.percent", GPU(fan_percent), U32, UNSUPPORTED}, /* passively cooled */
    {"performance_state", GPU(performance_state), U32, 0},
    {"ecc.mode", GPU(ecc_mode), SWITCH, 1},
    {"ecc.corrected_volatile", GPU(ecc_corrected_volatile), U64, 0},
    {"ecc.corrected_aggregate", GPU(ecc_corrected_aggregate), U64, 0},
    {"ecc.uncorrected_volatile", GPU(ecc_uncorrected_volatile), U64, 0},
    {"ecc.uncorrected_aggregate", GPU(ecc_uncorrected_aggregate), U64, 0},
    {"remapped.corrected", GPU(remapped_corrected), U32, 0},
    {"remapped.uncorrected", GPU(remapped_uncorrected), U32, 0},
    {"remapped.pending", GPU(remapped_pending), U32, 0},
    {"remapped.failure", GPU(remapped_failure), U32, 0},
    {"recovery_action", GPU(recovery_action), U32, 0},
    {"pcie.generation", GPU(pcie_generation), U32, 5},
    {"pcie.width", GPU(pcie_width), U32, 16},
    {"pcie.max_generation", GPU(pcie_max_generation), U32, 5},
    {"pcie.max_width", GPU(pcie_max_width), U32, 16},
    {"pcie.replay", GPU(pcie_replay), U32, 0},
    {"pcie.tx_bytes", GPU(pcie_tx_bytes), U64, 0},
    {"pcie.rx_bytes", GPU(pcie_rx_bytes), U64, 0},
    {"pcie.tx_kib_s", GPU(pcie_tx_kib_s), U32, 0},
    {"pcie.rx_kib_s", GPU(pcie_rx_kib_s), U32, 0},
    {"nvlink.count", GPU(nvlink_count), U32, 18},
    {"nvlink.tx_kib", GPU(nvlink_tx_kib), U64, 0},
    {"nvlink.rx_kib", GPU(nvlink_rx_kib), U64, 0},
    {"nvlink.crc_flit_errors", GPU(nvlink_crc_flit), U64, 0},
    {"nvlink.crc_data_errors", GPU(nvlink_crc_data), U64, 0},
    {"nvlink.replay_errors", GPU(nvlink_replay), U64, 0},
    {"nvlink.recovery_errors", GPU(nvlink_recovery), U64, 0},
    {"fabric.state", GPU(fabric_state), U32, 3},
    {"violation.power_ns", GPU(violation_power_ns), U64, 0},
    {"violation.thermal_ns", GPU(violation_thermal_ns), U64, 0},
    {"violation.sync_boost_ns", GPU(violation_sync_boost_ns), U64, 0},
    {"violation.board_limit_ns", GPU(violation_board_limit_ns), U64, 0},
    {"violation.low_utilization_ns", GPU(violation_low_utilization_ns), U64, 0},
    {"violation.reliability_ns", GPU(violation_reliability_ns), U64, 0},
    {"retired.single_bit", GPU(retired_sbe), U64, UNSUPPORTED}, /* GPUs before Ampere; newer ones remap rows */
    {"retired.double_bit", GPU(retired_dbe), U64, UNSUPPORTED},
    {"retired.pending", GPU(retired_pending), U64, UNSUPPORTED},
    {"vgpu.licensed", GPU(vgpu_licensed), SWITCH, 0},
    {"gpm.supported", GPU(gpm_supported), SWITCH, 1},
    {"gpm.graphics", GPU(gpm.graphics), U32, 0},
    {"gpm.sm", GPU(gpm.sm), U32, 0},
    {"gpm.sm_occupancy", GPU(gpm.sm_occupancy), U32, 0},
    {"gpm.tensor", GPU(gpm.tensor), U32, 0},
    {"gpm.dram", GPU(gpm.dram), U32, 0},
    {"gpm.fp64", GPU(gpm.fp64), U32, 0},
    {"gpm.fp32", GPU(gpm.fp32), U32, 0},
    {"gpm.fp16", GPU(gpm.fp16), U32, 0},
    {"gpm.pcie_tx_mib_s", GPU(gpm.pcie_tx), U32, 0},
    {"gpm.pcie_rx_mib_s", GPU(gpm.pcie_rx), U32, 0},
    {"gpm.nvlink_rx_mib_s", GPU(gpm.nvlink_rx), U32, 0},
    {"gpm.nvlink_tx_mib_s", GPU(gpm.nvlink_tx), U32, 0},
    {"minor", GPU(minor), U32, 0},
    {"brand", GPU(brand), U32, 14},
    {"architecture", GPU(architecture), U32, 9},
    {"compute_capability.major", GPU(compute_major), U32, 9},
    {"compute_capability.minor", GPU(compute_minor), U32, 0},
    {"cores", GPU(cores), U32, 16896},
    {"memory.bus_width", GPU(memory_bus_width), U32, 5120},
    {"module_id", GPU(module_id), U32, 0},
    {"virtualization_mode", GPU(virtualization_mode), U32, 0},
    {"persistence_mode", GPU(persistence_mode), SWITCH, 1},
    {"compute_mode", GPU(compute_mode), U32, 0},
    {"accounting.mode", GPU(accounting_mode), SWITCH, 0},
    {"mig.mode", GPU(mig_mode), SWITCH, 0},
    {"mig.pending", GPU(mig_pending), SWITCH, UNSUPPORTED}, /* not set: as mig.mode */
    {"mig.max", GPU(mig_max), U32, 7},
};

#define MIG(member) offsetof(struct mig, member)
static const struct key mig_keys[] = {
    {"uuid", MIG(uuid), STRING, 0},
    {"gpm.graphics", MIG(gpm.graphics), U32, 0},
    {"gpm.sm", MIG(gpm.sm), U32, 0},
    {"gpm.sm_occupancy", MIG(gpm.sm_occupancy), U32, 0},
    {"gpm.tensor", MIG(gpm.tensor), U32, 0},
    {"gpm.dram", MIG(gpm.dram), U32, 0},
    {"gpm.fp64", MIG(gpm.fp64), U32, 0},
    {"gpm.fp32", MIG(gpm.fp32), U32, 0},
    {"gpm.fp16", MIG(gpm.fp16), U32, 0},
    {"profile", MIG(profile), STRING, 0},
    {"gi", MIG(gpu_instance), U32, 0},
    {"ci", MIG(compute_instance), U32, 0},
    {"slices", MIG(slices), U32, 1},
    {"multiprocessors", MIG(multiprocessors), U32, 16},
    {"memory.total_mib", MIG(memory_total_mib), U32, 9856},
    {"memory.used_mib", MIG(memory_used_mib), U32, 0},
};

#define TOP(member) offsetof(struct scenario, member)
static const struct key top_keys[] = {
    {"driver.version", TOP(driver_version), STRING, 0},
    {"driver.nvml_version", TOP(nvml_version), STRING, 0},
    {"driver.cuda_version", TOP(cuda_version), U32, 0},
    {"gpu.count", TOP(gpu_count), U32, 1},
    {"strings.unterminated", TOP(unterminated_strings), SWITCH, 0},
    {"processes.v3_stride", TOP(v3_stride), U32, 0},
    {"processes.growing", TOP(growing_lists), U32, 0},
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void set_initial(void *base, const struct key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].kind != STRING) {
            *(uint64_t *)((char *)base + keys[i].offset) = keys[i].initial;
        }
    }
}

void scenario_set_defaults(struct scenario *scenario, enum level level)
{
    memset(scenario, 0, sizeof *scenario);
    scenario->level = level;
    set_initial(scenario, top_keys, COUNT(top_keys));
    memset(scenario->behaviour.result, 0xFF, sizeof scenario->behaviour.result);
    for (unsigned i = 0; i < MAX_GPUS; i++) {
        struct gpu *gpu = &scenario->gpus[i];
        set_initial(gpu, gpu_keys, COUNT(gpu_keys));
        memset(gpu->behaviour.result, 0xFF, sizeof gpu->behaviour.result);
        gpu->minor = i;
        gpu->module_id = i + 1;
        snprintf(gpu->uuid, TEXT, "GPU-%08x-5155-4e4d-8c53-494d554c4154", 0x51a70000u + i);
        snprintf(gpu->name, TEXT, "NVIDIA H100 80GB HBM3");
        snprintf(gpu->serial, TEXT, "%u", 1650000000u + i);
        snprintf(gpu->bus_id, TEXT, "00000000:%02X:00.0", 0x1Bu + i * 0x10u);
        snprintf(gpu->vbios, TEXT, "96.00.89.00.01");
        snprintf(gpu->board_part, TEXT, "692-2G520-0200-000");
        snprintf(gpu->inforom, TEXT, "G520.0200.00.05");
        for (unsigned m = 0; m < MAX_MIG; m++) {
            set_initial(&gpu->mig[m], mig_keys, COUNT(mig_keys));
            gpu->mig[m].gpu_instance = m + 7;
        }
    }
}

void scenario_finish(struct scenario *scenario)
{
    static const struct {
        const char *version;
        unsigned cuda;
    } drivers[LEVEL_COUNT] = {
        {"450.248.02", 11000}, {"470.256.02", 11040}, {"510.108.03", 11060}, {"525.147.05", 12000},
        {"535.43.02", 12020}, {"535.183.01", 12020}, {"550.90.07", 12040}, {"570.86.15", 12080},
        {"580.65.06", 13000},
    };
    if (scenario->driver_version[0] == 0) {
        snprintf(scenario->driver_version, TEXT, "%s", drivers[scenario->level].version);
    }
    if (scenario->cuda_version == 0) {
        scenario->cuda_version = drivers[scenario->level].cuda;
    }
    if (scenario->nvml_version[0] == 0) {
        snprintf(scenario->nvml_version, TEXT, "%u.%.80s", (unsigned)scenario->cuda_version / 1000,
                 scenario->driver_version);
    }
    if (scenario->v3_stride == 0) {
        scenario->v3_stride = scenario->level == R535_43 ? sizeof(nvmlProcessInfo_r535_43_t)
                                                         : sizeof(nvmlProcessInfo_v2_t);
    }
    for (unsigned i = 0; i < MAX_GPUS; i++) {
        struct gpu *gpu = &scenario->gpus[i];
        if (gpu->mig_pending == UNSUPPORTED) {
            gpu->mig_pending = gpu->mig_mode;
        }
        if (gpu->energy_rate_mw == UNSUPPORTED) {
            gpu->energy_rate_mw = gpu->power_mw == UNSUPPORTED ? 0 : gpu->power_mw;
        }
        if (gpu->gsp[0] == 0) {
            snprintf(gpu->gsp, TEXT, "%s", scenario->driver_version);
        }
        for (unsigned m = 0; m < MAX_MIG; m++) {
            if (gpu->mig[m].present && gpu->mig[m].uuid[0] == 0) {
                snprintf(gpu->mig[m].uuid, TEXT, "MIG-%08x-%04x-4d49-8c53-494d554c4154", 0x51a70000u + i, m);
            }
            if (gpu->mig[m].present && gpu->mig[m].profile[0] == 0) {
                snprintf(gpu->mig[m].profile, TEXT, "1g.10gb");
            }
        }
    }
}

void scenario_free_lists(struct scenario *scenario)
{
    for (unsigned i = 0; i < MAX_GPUS; i++) {
        free(scenario->gpus[i].compute.items);
        free(scenario->gpus[i].graphics.items);
        free(scenario->gpus[i].mps.items);
    }
}

static const char *set_value(void *base, const struct key *keys, size_t count, const char *name, const char *value)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].name, name) != 0) {
            continue;
        }
        char *member = (char *)base + keys[i].offset;
        if (keys[i].kind == STRING) {
            if (strlen(value) >= TEXT) {
                return "the text is longer than 95 bytes";
            }
            strcpy(member, value);
            return NULL;
        }
        uint64_t number;
        if (strcmp(value, "unsupported") == 0) {
            number = UNSUPPORTED;
        } else if (keys[i].kind == SWITCH) {
            if (!parse_switch(value, &number)) {
                return "expected true, false or unsupported";
            }
        } else if (!parse_number(value, &number)) {
            return "expected a whole number or unsupported";
        } else if (keys[i].kind == U32 && number > UINT32_MAX) {
            return "the number does not fit 32 bits";
        }
        *(uint64_t *)member = number;
        return NULL;
    }
    return "unknown key";
}

const char *scenario_set_top(struct scenario *scenario, const char *name, const char *value)
{
    return set_value(scenario, top_keys, COUNT(top_keys), name, value);
}

const char *scenario_set_gpu(struct gpu *gpu, const char *name, const char *value)
{
    return set_value(gpu, gpu_keys, COUNT(gpu_keys), name, value);
}

const char *scenario_set_mig(struct mig *mig, const char *name, const char *value)
{
    return set_value(mig, mig_keys, COUNT(mig_keys), name, value);
}
