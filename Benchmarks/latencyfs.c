// latencyfs MOUNTPOINT: a FUSE file system of 5 x 20 x 50 = 5,000 files that takes 1 ms for every operation, like a server
// across a network. cc -O2 -o latencyfs latencyfs.c $(pkg-config --cflags --libs fuse3)
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fuse3/fuse.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TOP = 5, SUB = 20, FILES = 50 };

static void wait_like_a_network(void) {
    struct timespec one_millisecond = {0, 1000000};
    nanosleep(&one_millisecond, NULL);
}

// How deep a path lies: 0 to 2 for directories, 3 for files, -1 for nothing.
static int depth_of(const char *path) {
    int top, sub, file, end = 0;
    if (strcmp(path, "/") == 0) return 0;
    if (sscanf(path, "/d%d%n", &top, &end) == 1 && !path[end]) return top < TOP ? 1 : -1;
    if (sscanf(path, "/d%d/e%d%n", &top, &sub, &end) == 2 && !path[end]) return sub < SUB ? 2 : -1;
    if (sscanf(path, "/d%d/e%d/f%d%n", &top, &sub, &file, &end) == 3 && !path[end]) return file < FILES ? 3 : -1;
    return -1;
}

static int get_attributes(const char *path, struct stat *out, struct fuse_file_info *info) {
    (void)info;
    wait_like_a_network();
    int depth = depth_of(path);
    if (depth < 0) return -ENOENT;
    memset(out, 0, sizeof *out);
    out->st_mode = depth == 3 ? 0100644 : 040755;
    out->st_nlink = depth == 3 ? 1 : 2;
    out->st_size = 100;
    out->st_blocks = depth == 3 ? 8 : 0;
    return 0;
}

static int open_directory(const char *path, struct fuse_file_info *info) {
    (void)path, (void)info;
    wait_like_a_network();
    return 0;
}

static int read_directory(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info,
                          enum fuse_readdir_flags flags) {
    (void)offset, (void)info, (void)flags;
    wait_like_a_network();
    int depth = depth_of(path);
    if (depth < 0 || depth == 3) return -ENOTDIR;
    int count = depth == 0 ? TOP : depth == 1 ? SUB : FILES;
    char name[16];
    for (int index = 0; index < count; index++) {
        snprintf(name, sizeof name, "%c%d", "def"[depth], index);
        fill(buffer, name, NULL, 0, 0);
    }
    return 0;
}

static const struct fuse_operations operations = {
    .getattr = get_attributes, .opendir = open_directory, .readdir = read_directory};

int main(int count, char **arguments) { return fuse_main(count, arguments, &operations, NULL); }
