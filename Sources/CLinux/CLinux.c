#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

// linux/openat2.h, declared here because old kernel headers lack it.
struct clinux_open_how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

int clinux_statx(int directory, const char *path, int flags, uint32_t mask, struct clinux_status *out) {
    struct statx x;
    memset(&x, 0, sizeof x);
    int result;
    do {
        result = statx(directory, path, flags, mask, &x);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    *out = (struct clinux_status){
        .mask = x.stx_mask,
        .mode = x.stx_mode,
        .nlink = x.stx_nlink,
        .uid = x.stx_uid,
        .gid = x.stx_gid,
        .device_major = x.stx_dev_major,
        .device_minor = x.stx_dev_minor,
        .inode = x.stx_ino,
        .size = x.stx_size,
        .blocks = x.stx_blocks,
        .mount_id = x.stx_mnt_id,
        .attributes = x.stx_attributes,
        .attributes_mask = x.stx_attributes_mask,
        .atime_seconds = x.stx_atime.tv_sec,
        .ctime_seconds = x.stx_ctime.tv_sec,
        .mtime_seconds = x.stx_mtime.tv_sec,
        .btime_seconds = x.stx_btime.tv_sec,
        .atime_nanoseconds = x.stx_atime.tv_nsec,
        .ctime_nanoseconds = x.stx_ctime.tv_nsec,
        .mtime_nanoseconds = x.stx_mtime.tv_nsec,
        .btime_nanoseconds = x.stx_btime.tv_nsec,
    };
    return 0;
}

int clinux_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct clinux_open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    long result;
    do {
        result = syscall(SYS_openat2, directory, path, &how, sizeof how);
    } while (result < 0 && (errno == EINTR || errno == EAGAIN));
    return result < 0 ? -errno : (int)result;
}

int clinux_pidfd_open(pid_t pid) {
    long result = syscall(SYS_pidfd_open, pid, 0);
    return result < 0 ? -errno : (int)result;
}

int clinux_memfd_create(const char *name) {
    int result = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return result < 0 ? -errno : result;
}

int clinux_seal(int descriptor) {
    int result = fcntl(descriptor, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    return result < 0 ? -errno : 0;
}

int clinux_set_dumpable(int value) {
    return prctl(PR_SET_DUMPABLE, value, 0, 0, 0) < 0 ? -errno : 0;
}

int clinux_terminal_columns(int descriptor) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) < 0) return -errno;
    return size.ws_col;
}

int clinux_terminal_size(int descriptor, int *columns, int *rows) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) < 0) return -errno;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return 0;
}

int clinux_getrandom(void *buffer, size_t count) {
    unsigned char *next = buffer;
    while (count > 0) {
        ssize_t got = getrandom(next, count, 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            return -errno;
        }
        next += got;
        count -= (size_t)got;
    }
    return 0;
}

int clinux_open(const char *path, int flags, uint32_t mode) {
    int result;
    do {
        result = open(path, flags | O_CLOEXEC, (mode_t)mode);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

const int clinux_o_path = O_PATH, clinux_o_direct = O_DIRECT;

int clinux_openat(int directory, const char *path, int flags, uint32_t mode) {
    int result;
    do {
        result = openat(directory, path, flags | O_CLOEXEC, (mode_t)mode);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

int clinux_chown(int descriptor, uint32_t uid, uint32_t gid) {
    return fchownat(descriptor, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int clinux_renameat2(int from, const char *old, int to, const char *new_name, unsigned flags) {
    return syscall(SYS_renameat2, from, old, to, new_name, flags) < 0 ? -errno : 0;
}

int clinux_fallocate(int descriptor, int64_t size) {
    int result;
    do {
        result = fallocate(descriptor, 0, 0, size);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

int64_t clinux_seek_data(int descriptor, int64_t offset) {
    off_t result = lseek(descriptor, offset, SEEK_DATA);
    return result < 0 ? -errno : result;
}

int64_t clinux_seek_hole(int descriptor, int64_t offset) {
    off_t result = lseek(descriptor, offset, SEEK_HOLE);
    return result < 0 ? -errno : result;
}

int clinux_pipe(int ends[2]) {
    return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0;
}

int clinux_set_thread_name(const char *name) {
    return -pthread_setname_np(pthread_self(), name);
}

int clinux_spawn_chdir(posix_spawn_file_actions_t *actions, const char *path) {
    return -posix_spawn_file_actions_addchdir_np(actions, path);
}

int clinux_execvpe(const char *program, char *const arguments[], char *const environment[]) {
    execvpe(program, arguments, environment);
    return -errno;
}

pid_t clinux_fork_kept(void) {
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) return -errno;
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        // It may have ended before it could be told of.
        if (getppid() != parent) _exit(125);
    }
    return pid;
}

#ifdef PACKET_AGENT_OLD_GLIBC
// libstdc++ since GCC 11 reads this variable, which glibc has since 2.32; 0 tells it to use atomic operations always.
char __libc_single_threaded = 0;
#endif
