// latencycopy DIRECTORY MOUNTPOINT: a FUSE file system that shows a directory, writable, and takes 1 ms for every operation,
// like a server across a network. cc -O2 -o latencycopy latencycopy.c $(pkg-config --cflags --libs fuse3)
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static int base;

static void wait_like_a_network(void) {
    struct timespec one_millisecond = {0, 1000000};
    nanosleep(&one_millisecond, NULL);
}

// What an operation answers: the value, or the negative error number.
#define ANSWER(call)                              \
    do {                                          \
        wait_like_a_network();                    \
        long answer = (long)(call);               \
        return answer < 0 ? -errno : (int)answer; \
    } while (0)
#define DONE(call)                      \
    do {                                \
        wait_like_a_network();          \
        return (call) < 0 ? -errno : 0; \
    } while (0)

// The path below the directory; "." for its root.
static const char *below(const char *path) { return path[1] ? path + 1 : "."; }

static int get_attributes(const char *path, struct stat *out, struct fuse_file_info *info) {
    if (info) DONE(fstat((int)info->fh, out));
    DONE(fstatat(base, below(path), out, AT_SYMLINK_NOFOLLOW));
}
static int read_link(const char *path, char *buffer, size_t size) {
    wait_like_a_network();
    ssize_t count = readlinkat(base, below(path), buffer, size - 1);
    if (count < 0) return -errno;
    buffer[count] = 0;
    return 0;
}
static int make_directory(const char *path, mode_t mode) { DONE(mkdirat(base, below(path), mode)); }
static int remove_file(const char *path) { DONE(unlinkat(base, below(path), 0)); }
static int remove_directory(const char *path) { DONE(unlinkat(base, below(path), AT_REMOVEDIR)); }
static int make_symlink(const char *target, const char *path) { DONE(symlinkat(target, base, below(path))); }
static int rename_path(const char *from, const char *to, unsigned flags) {
    DONE(renameat2(base, below(from), base, below(to), flags));
}
static int make_link(const char *from, const char *to) { DONE(linkat(base, below(from), base, below(to), 0)); }
static int set_mode(const char *path, mode_t mode, struct fuse_file_info *info) {
    if (info) DONE(fchmod((int)info->fh, mode));
    DONE(fchmodat(base, below(path), mode, 0));
}
static int set_owner(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *info) {
    (void)info;
    DONE(fchownat(base, below(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}
static int set_times(const char *path, const struct timespec times[2], struct fuse_file_info *info) {
    (void)info;
    DONE(utimensat(base, below(path), times, AT_SYMLINK_NOFOLLOW));
}
static int set_size(const char *path, off_t size, struct fuse_file_info *info) {
    if (info) DONE(ftruncate((int)info->fh, size));
    wait_like_a_network();
    int file = openat(base, below(path), O_WRONLY | O_CLOEXEC);
    if (file < 0) return -errno;
    int result = ftruncate(file, size) < 0 ? -errno : 0;
    close(file);
    return result;
}
static int open_file(const char *path, struct fuse_file_info *info) {
    wait_like_a_network();
    int file = openat(base, below(path), (info->flags & ~O_DIRECT) | O_CLOEXEC);
    if (file < 0) return -errno;
    info->fh = (uint64_t)file;
    return 0;
}
static int create_file(const char *path, mode_t mode, struct fuse_file_info *info) {
    wait_like_a_network();
    int file = openat(base, below(path), (info->flags & ~O_DIRECT) | O_CREAT | O_CLOEXEC, mode);
    if (file < 0) return -errno;
    info->fh = (uint64_t)file;
    return 0;
}
static int read_file(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)path;
    ANSWER(pread((int)info->fh, buffer, size, offset));
}
static int write_file(const char *path, const char *buffer, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)path;
    ANSWER(pwrite((int)info->fh, buffer, size, offset));
}
// A server across a network has what was written only once it is asked: closing asks, as NFS does. The disk below is not
// waited for: what is measured is the way to it.
static int flush_file(const char *path, struct fuse_file_info *info) {
    (void)path, (void)info;
    wait_like_a_network();
    return 0;
}
static int sync_file(const char *path, int data, struct fuse_file_info *info) {
    (void)path, (void)data, (void)info;
    wait_like_a_network();
    return 0;
}
static int release_file(const char *path, struct fuse_file_info *info) {
    (void)path;
    close((int)info->fh);
    return 0;
}
static int open_directory(const char *path, struct fuse_file_info *info) {
    wait_like_a_network();
    int directory = openat(base, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return -errno;
    info->fh = (uint64_t)directory;
    return 0;
}
static int read_directory(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info,
                          enum fuse_readdir_flags flags) {
    (void)path, (void)offset, (void)flags;
    wait_like_a_network();
    int copy = openat((int)info->fh, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream) return -errno;
    for (struct dirent *entry; (entry = readdir(stream));) fill(buffer, entry->d_name, NULL, 0, 0);
    closedir(stream);
    return 0;
}
static int file_system(const char *path, struct statvfs *out) {
    (void)path;
    DONE(fstatvfs(base, out));
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .readlink = read_link,
    .mkdir = make_directory,
    .unlink = remove_file,
    .rmdir = remove_directory,
    .symlink = make_symlink,
    .rename = rename_path,
    .link = make_link,
    .chmod = set_mode,
    .chown = set_owner,
    .utimens = set_times,
    .truncate = set_size,
    .open = open_file,
    .create = create_file,
    .read = read_file,
    .write = write_file,
    .flush = flush_file,
    .fsync = sync_file,
    .release = release_file,
    .opendir = open_directory,
    .readdir = read_directory,
    .releasedir = release_file,
    .fsyncdir = sync_file,
    .statfs = file_system,
};

int main(int count, char **arguments) {
    if (count < 3) return 64;
    base = open(arguments[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base < 0) return 1;
    umask(0);
    arguments[1] = arguments[0];
    return fuse_main(count - 1, arguments + 1, &operations, NULL);
}
