#define _GNU_SOURCE
#include "cupdraft.h"

#include <errno.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/eventfd.h>

int cu_waker_create(int ends[2]) {
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) return -errno;
    ends[0] = ends[1] = fd;
    return 0;
}
#else
int cu_waker_create(int ends[2]) { return cu_pipe(ends); }
#endif

// An eventfd takes eight bytes at a time and no fewer; a pipe takes them as eight wake-ups, which
// one drain serves. A full counter or pipe (EAGAIN) is already a wake-up.
int cu_waker_signal(int write_end) {
    uint64_t one = 1;
    ssize_t n;
    do n = write(write_end, &one, sizeof one);
    while (n < 0 && errno == EINTR);
    return n < 0 && errno != EAGAIN ? -errno : 0;
}

// An eventfd is empty after one read. A pipe may hold more than the buffer: its end watches
// level-triggered, so what is left comes in the next turn.
int cu_waker_drain(int read_end) {
    char bytes[4096];
    ssize_t n;
    do n = read(read_end, bytes, sizeof bytes);
    while (n < 0 && errno == EINTR);
    return n < 0 && errno != EAGAIN ? -errno : 0;
}
