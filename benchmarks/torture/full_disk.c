/* Preloaded into a process: from the n-th write below a folder on, the disk is full or cannot be written to.

   cc -shared -fPIC -O1 -o full_disk.so full_disk.c -ldl */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static long left = -1; /* writes until the first that fails; -1: not armed */
static long seen;
static int reason;

void disk_arm(const char *below, long nth, int error) {
    strncpy(folder, below, sizeof folder - 1);
    reason = error;
    seen = 0;
    left = nth;
}

long disk_writes(void) { return seen; }

static int below_folder(const char *path) { return path && strncmp(path, folder, strlen(folder)) == 0; }

static int fails(void) {
    __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST);
    if (left > 0 && __atomic_sub_fetch(&left, 1, __ATOMIC_SEQ_CST) >= 0) return 0;
    errno = reason;
    return 1;
}

static int fails_at(const char *path) { return left >= 0 && below_folder(path) && fails(); }

static int fails_into(int file) {
    char link[64], path[4096];
    if (left < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return below_folder(path) && fails();
}

#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *data, size_t size) { return fails_into(file) ? -1 : NEXT(write)(file, data, size); }
ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    return fails_into(file) ? -1 : NEXT(pwrite)(file, data, size, at);
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    return fails_into(file) ? -1 : NEXT(pwrite64)(file, data, size, at);
}
ssize_t writev(int file, const struct iovec *data, int count) {
    return fails_into(file) ? -1 : NEXT(writev)(file, data, count);
}
ssize_t sendfile(int to, int from, off_t *at, size_t size) {
    return fails_into(to) ? -1 : NEXT(sendfile)(to, from, at, size);
}
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *there, size_t size, unsigned flags) {
    return fails_into(to) ? -1 : NEXT(copy_file_range)(from, at, to, there, size, flags);
}
int posix_fallocate(int file, off_t at, off_t size) {
    return fails_into(file) ? reason : NEXT(posix_fallocate)(file, at, size);
}
int posix_fallocate64(int file, off64_t at, off64_t size) {
    return fails_into(file) ? reason : NEXT(posix_fallocate64)(file, at, size);
}
int mkdir(const char *path, mode_t mode) { return fails_at(path) ? -1 : NEXT(mkdir)(path, mode); }
int rename(const char *from, const char *to) {
    /* A full disk renames; one that is read-only does not. */
    return reason == EROFS && fails_at(to) ? -1 : NEXT(rename)(from, to);
}

static int open_with(const char *name, const char *path, int flags, mode_t mode) {
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
    if ((flags & O_CREAT) && fails_at(path)) return -1;
    return next(path, flags, mode);
}
int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_with("open", path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_with("open64", path, flags, mode);
}
