/* Loads the scenario file, and loads it again whenever its inode, modification time or size differ. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "simulator.h"

#ifndef NVML_SIMULATOR_LEVEL
#define NVML_SIMULATOR_LEVEL R580
#endif

enum { PATH_SIZE = 4096, FILE_LIMIT = 1 << 20 };

struct signature {
    bool exists;
    uint64_t inode, device, size, seconds, nanoseconds;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char path[PATH_SIZE];
static bool path_was_asked_for;
static struct signature loaded_signature;
static struct scenario *current;

uint64_t boottime_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void find_path(void)
{
    if (path[0] != 0) {
        return;
    }
    const char *asked = getenv("NVML_SIMULATOR_SCENARIO");
    path_was_asked_for = asked != NULL && *asked != 0;
    snprintf(path, sizeof path, "%s", path_was_asked_for ? asked : "/run/nvml-simulator/scenario");
}

/* The system call itself: stat() in a new C library is a symbol that an old one lacks. */
static struct signature look(void)
{
    struct statx status;
    struct signature signature = {0};
    if (syscall(SYS_statx, AT_FDCWD, path, 0, STATX_INO | STATX_MTIME | STATX_SIZE, &status) == 0) {
        signature.exists = true;
        signature.inode = status.stx_ino;
        signature.device = ((uint64_t)status.stx_dev_major << 32) | status.stx_dev_minor;
        signature.size = status.stx_size;
        signature.seconds = (uint64_t)status.stx_mtime.tv_sec;
        signature.nanoseconds = status.stx_mtime.tv_nsec;
    }
    return signature;
}

static bool same(const struct signature *a, const struct signature *b)
{
    return a->exists == b->exists && a->inode == b->inode && a->device == b->device && a->size == b->size
           && a->seconds == b->seconds && a->nanoseconds == b->nanoseconds;
}

static char *read_file(void)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return NULL;
    }
    size_t size = 0, capacity = 16384;
    char *text = malloc(capacity);
    while (text != NULL) {
        ssize_t got = read(file, text + size, capacity - size - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0 || size + (size_t)got >= FILE_LIMIT) {
            if (got != 0) {
                free(text);
                text = NULL;
            }
            break;
        }
        size += (size_t)got;
        if (capacity - size < 4096) {
            capacity *= 2;
            char *larger = realloc(text, capacity);
            if (larger == NULL) {
                free(text);
            }
            text = larger;
        }
    }
    close(file);
    if (text != NULL) {
        text[size] = 0;
    }
    return text;
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL) {
        text[--length] = 0;
    }
    return text;
}

static void parse(struct scenario *scenario, char *text)
{
    unsigned number = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        number++;
        char *comment = strchr(line, '#');
        if (comment != NULL) {
            *comment = 0;
        }
        char *value = trim(line);
        if (*value == 0) {
            continue;
        }
        char *key = strsep(&value, "=");
        const char *problem = "expected key = value";
        key = trim(key);
        char shown[TEXT];
        snprintf(shown, sizeof shown, "%s", key);
        if (value != NULL && *key != 0) {
            problem = scenario_set(scenario, key, trim(value));
        }
        if (problem != NULL) {
            fprintf(stderr, "nvml-simulator: %s:%u: %s: %s; line ignored\n", path, number, shown, problem);
        }
    }
}

static struct scenario *load(void)
{
    struct scenario *scenario = malloc(sizeof *scenario);
    if (scenario == NULL) {
        return NULL;
    }
    scenario_set_defaults(scenario, NVML_SIMULATOR_LEVEL);
    scenario->references = 1;
    scenario->loaded_boottime_ms = boottime_ms();
    char *text = read_file();
    if (text != NULL) {
        parse(scenario, text);
        free(text);
    }
    scenario_finish(scenario);
    return scenario;
}

static void drop(struct scenario *scenario)
{
    if (scenario != NULL && --scenario->references == 0) {
        scenario_free_lists(scenario);
        free(scenario);
    }
}

static void refresh(void)
{
    find_path();
    struct signature now = look();
    if (current != NULL && (!now.exists || same(&now, &loaded_signature))) {
        return; /* a file that vanished leaves its last scenario in force */
    }
    if (current == NULL && !now.exists && path_was_asked_for) {
        fprintf(stderr, "nvml-simulator: %s: cannot be read; simulating one idle GPU\n", path);
    }
    for (int attempt = 0; attempt < 8; attempt++) {
        struct scenario *fresh = load();
        struct signature after = look();
        bool settled = same(&now, &after);
        now = after;
        if (settled || attempt == 7) {
            if (fresh != NULL) {
                samples_note(fresh);
                drop(current);
                current = fresh;
                loaded_signature = now;
            }
            return;
        }
        drop(fresh);
    }
}

const struct scenario *scenario_acquire(void)
{
    pthread_mutex_lock(&lock);
    refresh();
    struct scenario *scenario = current;
    if (scenario != NULL) {
        scenario->references++;
    }
    pthread_mutex_unlock(&lock);
    return scenario;
}

void scenario_release(const struct scenario *scenario)
{
    pthread_mutex_lock(&lock);
    drop((struct scenario *)scenario);
    pthread_mutex_unlock(&lock);
}

void scenario_directory(char *directory, size_t size)
{
    pthread_mutex_lock(&lock);
    find_path();
    const char *slash = strrchr(path, '/');
    int length = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
    snprintf(directory, size, "%.*s", length, slash == NULL ? "." : path);
    pthread_mutex_unlock(&lock);
}

/* Not part of NVML: lets one process use several copies of this library, each with its own scenario. */
EXPORT void nvmlSimulatorUseScenario(const char *file)
{
    pthread_mutex_lock(&lock);
    snprintf(path, sizeof path, "%s", file);
    path_was_asked_for = true;
    drop(current);
    current = NULL;
    pthread_mutex_unlock(&lock);
}
