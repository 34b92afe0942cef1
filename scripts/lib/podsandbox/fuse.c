// pod-fuse DIRECTORY DESCRIPTOR: serves DIRECTORY over an open /dev/fuse whose mount has been made.
//
// A network file system's stand-in: a plain read-write tree that can be made to hang.
//   SIGSTOP  requests are not even read
//   SIGUSR1  every later request is read and never answered
//   SIGUSR2  back to life: the held requests are answered too
//   SIGKILL  the connection ends: ENOTCONN
// The main thread's name says which: "pod-fuse", or "pod-fuse:held" after SIGUSR1.

#define FUSE_USE_VERSION 312
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static int tree = -1;
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opened = PTHREAD_COND_INITIALIZER;
static int held = 0;

static void say_state(void) {
    int descriptor = open("/proc/self/comm", O_WRONLY | O_CLOEXEC);  // the main thread's, from any thread
    if (descriptor < 0) return;
    const char *name = held ? "pod-fuse:held" : "pod-fuse";
    if (write(descriptor, name, strlen(name)) < 0) perror("pod-fuse: comm");
    close(descriptor);
}

// The only thread that takes the two signals, so that no lock is ever taken in a handler.
static void *control(void *signals) {
    for (;;) {
        int received;
        if (sigwait(signals, &received) != 0) continue;
        pthread_mutex_lock(&gate_lock);
        held = received == SIGUSR1;
        if (!held) pthread_cond_broadcast(&gate_opened);
        pthread_mutex_unlock(&gate_lock);
        say_state();
    }
    return NULL;
}

// Every request passes here first; while the gate is shut it stays here.
static void gate(void) {
    pthread_mutex_lock(&gate_lock);
    while (held) pthread_cond_wait(&gate_opened, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static const char *relative(const char *path) { return path[1] ? path + 1 : "."; }

static int answer(int result) { return result < 0 ? -errno : 0; }

// New entries belong to who made them, not to the server.
static int give_to_caller(const char *path) {
    const struct fuse_context *caller = fuse_get_context();
    return answer(fchownat(tree, relative(path), caller->uid, caller->gid, AT_SYMLINK_NOFOLLOW));
}

// Extended attributes have no *at calls before Linux 6.13; a path through /proc names the same file.
static void through_proc(char *buffer, size_t size, const char *path) {
    snprintf(buffer, size, "/proc/self/fd/%d/%s", tree, relative(path));
}

static int fs_getattr(const char *path, struct stat *attributes, struct fuse_file_info *file) {
    gate();
    if (file) return answer(fstat((int)file->fh, attributes));
    return answer(fstatat(tree, relative(path), attributes, AT_SYMLINK_NOFOLLOW));
}

static int fs_readlink(const char *path, char *buffer, size_t size) {
    gate();
    ssize_t length = readlinkat(tree, relative(path), buffer, size - 1);
    if (length < 0) return -errno;
    buffer[length] = 0;
    return 0;
}

static int fs_mknod(const char *path, mode_t mode, dev_t device) {
    gate();
    if (mknodat(tree, relative(path), mode, device) < 0) return -errno;
    return give_to_caller(path);
}

static int fs_mkdir(const char *path, mode_t mode) {
    gate();
    if (mkdirat(tree, relative(path), mode) < 0) return -errno;
    return give_to_caller(path);
}

static int fs_unlink(const char *path) {
    gate();
    return answer(unlinkat(tree, relative(path), 0));
}

static int fs_rmdir(const char *path) {
    gate();
    return answer(unlinkat(tree, relative(path), AT_REMOVEDIR));
}

static int fs_symlink(const char *target, const char *path) {
    gate();
    if (symlinkat(target, tree, relative(path)) < 0) return -errno;
    return give_to_caller(path);
}

static int fs_rename(const char *from, const char *to, unsigned int flags) {
    gate();
    return answer(renameat2(tree, relative(from), tree, relative(to), flags));
}

static int fs_link(const char *from, const char *to) {
    gate();
    return answer(linkat(tree, relative(from), tree, relative(to), 0));
}

static int fs_chmod(const char *path, mode_t mode, struct fuse_file_info *file) {
    gate();
    if (file) return answer(fchmod((int)file->fh, mode));
    return answer(fchmodat(tree, relative(path), mode, 0));
}

static int fs_chown(const char *path, uid_t owner, gid_t group, struct fuse_file_info *file) {
    gate();
    if (file) return answer(fchown((int)file->fh, owner, group));
    return answer(fchownat(tree, relative(path), owner, group, AT_SYMLINK_NOFOLLOW));
}

static int fs_truncate(const char *path, off_t size, struct fuse_file_info *file) {
    gate();
    if (file) return answer(ftruncate((int)file->fh, size));
    int descriptor = openat(tree, relative(path), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    int result = answer(ftruncate(descriptor, size));
    close(descriptor);
    return result;
}

static int fs_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *file) {
    gate();
    if (file) return answer(futimens((int)file->fh, times));
    return answer(utimensat(tree, relative(path), times, AT_SYMLINK_NOFOLLOW));
}

static int fs_open(const char *path, struct fuse_file_info *file) {
    gate();
    // The kernel has resolved O_APPEND into offsets; here it would move them again.
    int descriptor = openat(tree, relative(path), (file->flags & ~(O_APPEND | O_NOFOLLOW)) | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    file->fh = (uint64_t)descriptor;
    return 0;
}

static int fs_create(const char *path, mode_t mode, struct fuse_file_info *file) {
    gate();
    int descriptor = openat(tree, relative(path), (file->flags & ~O_APPEND) | O_CREAT | O_CLOEXEC, mode);
    if (descriptor < 0) return -errno;
    file->fh = (uint64_t)descriptor;
    const struct fuse_context *caller = fuse_get_context();
    if (fchown(descriptor, caller->uid, caller->gid) < 0) {
        int problem = errno;
        close(descriptor);
        return -problem;
    }
    return 0;
}

static int fs_read(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)path;
    gate();
    ssize_t count = pread((int)file->fh, buffer, size, offset);
    return count < 0 ? -errno : (int)count;
}

static int fs_write(const char *path, const char *data, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)path;
    gate();
    ssize_t count = pwrite((int)file->fh, data, size, offset);
    return count < 0 ? -errno : (int)count;
}

static int fs_statfs(const char *path, struct statvfs *result) {
    (void)path;
    gate();
    return answer(fstatvfs(tree, result));
}

static int fs_release(const char *path, struct fuse_file_info *file) {
    (void)path;
    gate();
    close((int)file->fh);
    return 0;
}

static int fs_fsync(const char *path, int data_only, struct fuse_file_info *file) {
    (void)path;
    gate();
    return answer(data_only ? fdatasync((int)file->fh) : fsync((int)file->fh));
}

static int fs_opendir(const char *path, struct fuse_file_info *file) {
    gate();
    int descriptor = openat(tree, relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    file->fh = (uint64_t)descriptor;
    return 0;
}

// The whole directory in one answer (offset 0 to the filler): libfuse keeps it for the handle.
static int fs_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *file,
                      enum fuse_readdir_flags flags) {
    (void)path, (void)offset, (void)flags;
    gate();
    int descriptor = openat((int)file->fh, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    DIR *directory = fdopendir(descriptor);
    if (!directory) {
        int problem = errno;
        close(descriptor);
        return -problem;
    }
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        struct stat attributes = {.st_ino = entry->d_ino, .st_mode = (mode_t)entry->d_type << 12};
        if (fill(buffer, entry->d_name, &attributes, 0, 0)) break;
    }
    closedir(directory);
    return 0;
}

static int fs_fsyncdir(const char *path, int data_only, struct fuse_file_info *file) {
    return fs_fsync(path, data_only, file);
}

static int fs_fallocate(const char *path, int mode, off_t offset, off_t length, struct fuse_file_info *file) {
    (void)path;
    gate();
    return answer(fallocate((int)file->fh, mode, offset, length));
}

static int fs_setxattr(const char *path, const char *name, const char *value, size_t size, int flags) {
    char real[4200];
    gate();
    through_proc(real, sizeof real, path);
    return answer(lsetxattr(real, name, value, size, flags));
}

static int fs_getxattr(const char *path, const char *name, char *value, size_t size) {
    char real[4200];
    gate();
    through_proc(real, sizeof real, path);
    ssize_t length = lgetxattr(real, name, value, size);
    return length < 0 ? -errno : (int)length;
}

static int fs_listxattr(const char *path, char *names, size_t size) {
    char real[4200];
    gate();
    through_proc(real, sizeof real, path);
    ssize_t length = llistxattr(real, names, size);
    return length < 0 ? -errno : (int)length;
}

static int fs_removexattr(const char *path, const char *name) {
    char real[4200];
    gate();
    through_proc(real, sizeof real, path);
    return answer(lremovexattr(real, name));
}

static void *fs_init(struct fuse_conn_info *connection, struct fuse_config *settings) {
    (void)connection;
    settings->use_ino = 1;
    settings->nullpath_ok = 0;
    settings->hard_remove = 0;
    // Nothing is remembered in the kernel: a hang shows at the very next look, not a second later.
    settings->attr_timeout = settings->entry_timeout = settings->negative_timeout = 0;
    return NULL;
}

static const struct fuse_operations operations = {
    .init = fs_init,
    .getattr = fs_getattr,
    .readlink = fs_readlink,
    .mknod = fs_mknod,
    .mkdir = fs_mkdir,
    .unlink = fs_unlink,
    .rmdir = fs_rmdir,
    .symlink = fs_symlink,
    .rename = fs_rename,
    .link = fs_link,
    .chmod = fs_chmod,
    .chown = fs_chown,
    .truncate = fs_truncate,
    .utimens = fs_utimens,
    .open = fs_open,
    .create = fs_create,
    .read = fs_read,
    .write = fs_write,
    .statfs = fs_statfs,
    .release = fs_release,
    .fsync = fs_fsync,
    .opendir = fs_opendir,
    .readdir = fs_readdir,
    .releasedir = fs_release,
    .fsyncdir = fs_fsyncdir,
    .fallocate = fs_fallocate,
    .setxattr = fs_setxattr,
    .getxattr = fs_getxattr,
    .listxattr = fs_listxattr,
    .removexattr = fs_removexattr,
};

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: pod-fuse DIRECTORY DESCRIPTOR\n");
        return 64;
    }
    tree = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tree < 0) {
        fprintf(stderr, "pod-fuse: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    umask(0);  // the kernel has applied the caller's
    static sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    pthread_t controller;
    if (pthread_create(&controller, NULL, control, &signals) != 0) return 1;
    say_state();

    // libfuse takes an already mounted /dev/fuse by this name (fuse_session_mount, since 3.3).
    char mounted[32];
    snprintf(mounted, sizeof mounted, "/dev/fd/%s", argv[2]);
    struct fuse_args arguments = FUSE_ARGS_INIT(1, argv);
    struct fuse *server = fuse_new(&arguments, &operations, sizeof operations, NULL);
    if (!server || fuse_mount(server, mounted) != 0) return 1;
    // Threads enough that a test's held requests do not use them up; idle ones cost nothing.
    struct fuse_loop_config *loop = fuse_loop_cfg_create();
    if (!loop) return 1;
    fuse_loop_cfg_set_max_threads(loop, 256);
    fuse_loop_cfg_set_clone_fd(loop, 0);
    int result = fuse_loop_mt(server, loop);
    fuse_loop_cfg_destroy(loop);
    fuse_destroy(server);
    return result == 0 ? 0 : 1;
}
