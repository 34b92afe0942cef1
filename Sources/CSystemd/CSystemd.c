#include "CSystemd.h"

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

static struct {
    __typeof__(&sd_notify) notify;
    __typeof__(&sd_watchdog_enabled) watchdog_enabled;
    __typeof__(&sd_journal_sendv) journal_sendv;
} library;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    void *handle = dlopen("libsystemd.so.0", RTLD_LAZY | RTLD_LOCAL);
    if (handle == NULL) return;
    library.notify = (__typeof__(&sd_notify))dlsym(handle, "sd_notify");
    library.watchdog_enabled = (__typeof__(&sd_watchdog_enabled))dlsym(handle, "sd_watchdog_enabled");
    library.journal_sendv = (__typeof__(&sd_journal_sendv))dlsym(handle, "sd_journal_sendv");
}

int csystemd_available(void) {
    pthread_once(&once, load);
    return library.notify != NULL;
}

int csystemd_notify(const char *state) {
    pthread_once(&once, load);
    return library.notify == NULL ? -ENOSYS : library.notify(0, state);
}

int csystemd_watchdog_enabled(uint64_t *microseconds) {
    pthread_once(&once, load);
    return library.watchdog_enabled == NULL ? -ENOSYS : library.watchdog_enabled(0, microseconds);
}

int csystemd_journal_sendv(const struct iovec *fields, int count) {
    pthread_once(&once, load);
    return library.journal_sendv == NULL ? -ENOSYS : library.journal_sendv(fields, count);
}
