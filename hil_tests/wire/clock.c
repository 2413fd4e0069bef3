/* LD_PRELOAD: shifts the wall clock of one process by the first seconds in the file $FSD_CLOCK_OFFSET, and the clock that
 * goes on in a suspend by the second, as a suspend of so long would. The monotonic clock stays, so that waits and sleeps
 * work. Python, SQLite and OpenSSL see the shifted time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t none[2], *offset = none;
static int (*real_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FSD_CLOCK_OFFSET");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
    real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    if (at == MAP_FAILED || !real_gettime) abort();
    offset = at;
    close(fd);
}

int clock_gettime(clockid_t id, struct timespec *to) {
    int failed = real_gettime(id, to);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) to->tv_sec += offset[0];
    if (!failed && id == CLOCK_BOOTTIME) to->tv_sec += offset[1];
    return failed;
}

int gettimeofday(struct timeval *to, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    to->tv_sec = now.tv_sec;
    to->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}
