/* LD_PRELOAD: makes the disk below $FSD_DISK_FOLDER refuse changes or sync slowly, by two numbers in the file
 * $FSD_DISK_FAULT: the error of every change (0: none; EROFS and EIO are as a kernel gives them), and how long a sync takes,
 * in milliseconds. Files that are open are not spared, which no remount can do. Reading always works. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static volatile int32_t none[2], *fault = none;
static const char *folder;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FSD_DISK_FAULT");
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int fd = path ? real_open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
    folder = getenv("FSD_DISK_FOLDER");
    if (at == MAP_FAILED || !folder) abort();
    fault = at;
    close(fd);
}

static int below(const char *path) { return path && !strncmp(path, folder, strlen(folder)); }

static int ours(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return below(path);
}

static int refused(int is_ours) {
    if (!is_ours || !fault[0]) return 0;
    errno = fault[0];
    return 1;
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))
#define CHANGE(type, name, parameters, arguments, is_ours) \
    type name parameters { return refused(is_ours) ? -1 : REAL(name) arguments; }

CHANGE(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), ours(fd))
CHANGE(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), ours(fd))
CHANGE(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at), ours(fd))
CHANGE(int, ftruncate, (int fd, off_t size), (fd, size), ours(fd))
CHANGE(int, ftruncate64, (int fd, off64_t size), (fd, size), ours(fd))
CHANGE(int, unlink, (const char *path), (path), below(path))
CHANGE(int, rename, (const char *from, const char *to), (from, to), below(from) || below(to))
CHANGE(int, mkdir, (const char *path, mode_t mode), (path, mode), below(path))

#define SYNC(name)                                                                     \
    int name(int fd) {                                                                 \
        if (refused(ours(fd))) return -1;                                              \
        if (ours(fd) && fault[1]) {                                                    \
            struct timespec wait = {fault[1] / 1000, fault[1] % 1000 * 1000000L};      \
            nanosleep(&wait, NULL);                                                    \
        }                                                                              \
        return REAL(name)(fd);                                                         \
    }
SYNC(fsync)
SYNC(fdatasync)

#define OPEN(name)                                                                     \
    int name(const char *path, int flags, ...) {                                       \
        va_list more;                                                                  \
        va_start(more, flags);                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;                      \
        va_end(more);                                                                  \
        if (refused(below(path) && flags & (O_WRONLY | O_RDWR | O_CREAT))) return -1;  \
        return REAL(name)(path, flags, mode);                                          \
    }
OPEN(open)
OPEN(open64)
