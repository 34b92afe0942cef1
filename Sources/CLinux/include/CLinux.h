// System calls and constants that Swift cannot import: variadic, conditional or missing from glibc.
// Every function returns a value >= 0, or -errno.
#ifndef CLINUX_H
#define CLINUX_H

#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/xattr.h>  // not in Swift's Glibc module

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
    int64_t atime_seconds;
    int64_t ctime_seconds;
    int64_t mtime_seconds;
    int64_t btime_seconds;
    uint32_t atime_nanoseconds;
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

// O_PATH and O_DIRECT of open(2): their values differ between processors.
extern const int clinux_o_path, clinux_o_direct;

// openat(2) with O_CLOEXEC added and a mode.
int clinux_openat(int directory, const char *path, int flags, uint32_t mode);

// fchownat(2) with AT_EMPTY_PATH: the file itself that a descriptor of O_PATH holds, also a symbolic link. 0 or -errno.
int clinux_chown(int descriptor, uint32_t uid, uint32_t gid);

// renameat2(2), Linux 3.15: flags 1 is RENAME_NOREPLACE, 2 is RENAME_EXCHANGE (linux/fs.h).
int clinux_renameat2(int from, const char *old, int to, const char *new_name, unsigned flags);

// fallocate(2) with mode 0; unlike posix_fallocate(3) it never writes zeros itself.
int clinux_fallocate(int descriptor, int64_t size);

// lseek(2) with SEEK_DATA or SEEK_HOLE: the next byte that is data, or the next hole, at or after `offset`.
int64_t clinux_seek_data(int descriptor, int64_t offset);
int64_t clinux_seek_hole(int descriptor, int64_t offset);

// pipe2(2) with O_CLOEXEC.
int clinux_pipe(int ends[2]);

// pthread_setname_np(3) on the calling thread; at most 15 bytes.
int clinux_set_thread_name(const char *name);

// posix_spawn_file_actions_addchdir_np(3), glibc 2.29.
int clinux_spawn_chdir(posix_spawn_file_actions_t *actions, const char *path);

// close_range(2), Linux 5.9, else close(2) one by one: every descriptor from `first` on.
void clinux_close_from(int first);

// execvpe(3): replaces the program; returns -errno when it could not.
int clinux_execvpe(const char *program, char *const arguments[], char *const environment[]);

// fork(2), for a process of one thread: 0 in the child, which ends with its parent (PR_SET_PDEATHSIG); else its pid or -errno.
pid_t clinux_fork_kept(void);

// Processes.c: what PID 1 needs.

// main's arguments with a null pointer at the end, never null itself. Swift's CommandLine reads them from /proc, which
// may be missing.
char **clinux_arguments(void);

// A program to start by fork(2).
struct clinux_start {
    // For a service the path of the program; for a command its name as a person may see it.
    const char *name;
    // A command's first argument is looked for in the PATH of `environment` (execvp(3)).
    char *const *arguments;
    char *const *environment;
    // A command: the signal mask it gets.
    const sigset_t *mask;
    // A command: a terminal that gets the command's process group as its foreground group, or -1.
    int terminal;
    // A service: what becomes its standard output.
    int output;
    // A command is a process group of its own in our session, with our signal dispositions (SIGCHLD default) and
    // descriptors. A service is a session of its own, with nothing but standard error of ours, and ends with us.
    int is_service;
};

// Starts a program; every signal must be blocked. The pid, or -errno. A command that cannot be executed says so on
// standard error and ends with 127 (not found) or 126, a service with 127.
pid_t clinux_start(const struct clinux_start *start);

// A signal that arrived, and whether this process sent it to itself.
struct clinux_signal {
    int number;
    int is_own;
};

// sigtimedwait(2) for all signals; without a limit when `milliseconds` is negative. -EAGAIN when none came.
int clinux_wait_signal(int64_t milliseconds, struct clinux_signal *out);

// 1 when a signal is ignored (sigaction(2)).
int clinux_signal_is_ignored(int number);

// A child that ended: by exit(2) with the value, or by the signal of that number.
struct clinux_ended {
    pid_t pid;
    int is_signal;
    int value;
};

// waitid(2) with WNOWAIT: 1 when a child has ended, whose pid and process group stay taken until it is reaped; else 0.
int clinux_peek_ended(struct clinux_ended *out);

// waitpid(2) for a child that has ended.
void clinux_reap(pid_t pid);

// The signal that stopped a child since the last call; 0 when none did.
int clinux_stop_signal(pid_t pid);

// prctl(2) PR_SET_CHILD_SUBREAPER: orphans among our descendants become our children.
int clinux_set_subreaper(void);

// The path that execve(2) got for this process (getauxval(3) AT_EXECFN).
const char *clinux_executable(void);

// Stops our own process group as Ctrl-Z does and returns when it goes on: 1, or 0 when the kernel discarded the stop.
int clinux_stop_own_group(void);

// Gives back the memory of our read-only segments; the kernel reads them again when they are used (madvise(2)).
void clinux_drop_clean_pages(void);

#endif
