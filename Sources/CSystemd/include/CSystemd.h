// libsystemd, opened at run time: a container without it must still start the agent.
// Each function returns what libsystemd returns, or -ENOSYS when the library is absent.
#ifndef CSYSTEMD_H
#define CSYSTEMD_H

#include <stdint.h>
#include <sys/uio.h>

// 1 when libsystemd.so.0 could be opened, else 0.
int csystemd_available(void);

// sd_notify(3) without unsetting NOTIFY_SOCKET.
int csystemd_notify(const char *state);

// sd_watchdog_enabled(3): > 0 and the interval in microseconds when the manager expects WATCHDOG=1.
int csystemd_watchdog_enabled(uint64_t *microseconds);

// sd_journal_sendv(3). It answers 0 also when no journald listens: look at the socket first.
int csystemd_journal_sendv(const struct iovec *fields, int count);

#endif
