// System calls and constants that Swift cannot import: variadic, conditional or missing from glibc.
// Every function returns a value >= 0, or -errno.
#ifndef CLINUX_H
#define CLINUX_H

#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The fields of struct statx (statx(2)) with plain types. `mask` says which are valid.
struct clinux_status {
    uint32_t mask;
    uint32_t mode;
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint32_t device_major;
    uint32_t device_minor;
    uint64_t inode;
    uint64_t size;
    uint64_t blocks;
    uint64_t mount_id;
    uint64_t attributes;
    uint64_t attributes_mask;
    int64_t ctime_seconds;
    int64_t mtime_seconds;
    int64_t btime_seconds;
    uint32_t ctime_nanoseconds;
    uint32_t mtime_nanoseconds;
    uint32_t btime_nanoseconds;
};

enum {
    CLINUX_STATX_BTIME = 0x800,
    CLINUX_STATX_MNT_ID = 0x1000,
    CLINUX_STATX_BASIC = 0x7ff,
    CLINUX_AT_NO_AUTOMOUNT = 0x800,
    CLINUX_AT_EMPTY_PATH = 0x1000,
    CLINUX_AT_STATX_DONT_SYNC = 0x4000,
    CLINUX_ATTRIBUTE_MOUNT_ROOT = 0x2000,
};

// statx(2).
int clinux_statx(int directory, const char *path, int flags, uint32_t mask, struct clinux_status *out);

// openat2(2), Linux 5.6; -ENOSYS where a sandbox hides it.
int clinux_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);

// pidfd_open(2), Linux 5.3; the descriptor is close-on-exec.
int clinux_pidfd_open(pid_t pid);

// memfd_create(2) with MFD_CLOEXEC and MFD_ALLOW_SEALING.
int clinux_memfd_create(const char *name);

// fcntl(2) F_ADD_SEALS with all of F_SEAL_SEAL, SHRINK, GROW, WRITE.
int clinux_seal(int descriptor);

// prctl(2) PR_SET_DUMPABLE.
int clinux_set_dumpable(int value);

// ioctl(2) TIOCGWINSZ: columns of the terminal, or -errno.
int clinux_terminal_columns(int descriptor);

// ioctl(2) TIOCGWINSZ: columns and rows of the terminal; 0 or -errno.
int clinux_terminal_size(int descriptor, int *columns, int *rows);

// getrandom(2): fills the whole buffer.
int clinux_getrandom(void *buffer, size_t count);

// open(2) with O_CLOEXEC added and a mode.
int clinux_open(const char *path, int flags, uint32_t mode);

// pipe2(2) with O_CLOEXEC.
int clinux_pipe(int ends[2]);

// pthread_setname_np(3) on the calling thread; at most 15 bytes.
int clinux_set_thread_name(const char *name);

// posix_spawn_file_actions_addchdir_np(3), glibc 2.29.
int clinux_spawn_chdir(posix_spawn_file_actions_t *actions, const char *path);

// execvpe(3): replaces the program; returns -errno when it could not.
int clinux_execvpe(const char *program, char *const arguments[], char *const environment[]);

#endif
