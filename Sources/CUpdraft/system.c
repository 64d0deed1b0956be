#define _GNU_SOURCE
#include "portable.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

__thread void *cu_current_loop_word = NULL;

// A child made by fork has no loop: its parent's is found out by the thread check then.
static void forget_loop(void) { cu_current_loop_word = NULL; }
__attribute__((constructor)) static void watch_forks(void) {
    pthread_atfork(NULL, NULL, forget_loop);
}

const int cu_eagain = EAGAIN, cu_eintr = EINTR, cu_epipe = EPIPE, cu_econnreset = ECONNRESET,
          cu_econnaborted = ECONNABORTED, cu_etimedout = ETIMEDOUT, cu_einprogress = EINPROGRESS,
          cu_emfile = EMFILE, cu_enfile = ENFILE, cu_enobufs = ENOBUFS, cu_enomem = ENOMEM,
          cu_einval = EINVAL, cu_ebadf = EBADF, cu_eexist = EEXIST, cu_enoent = ENOENT,
          cu_eaddrinuse = EADDRINUSE, cu_enotconn = ENOTCONN, cu_enosys = ENOSYS,
          cu_emsgsize = EMSGSIZE, cu_edestaddrreq = EDESTADDRREQ;

void cu_error_text(int error, char *buffer, size_t size) {
    if (size == 0) return;
    const char *text = error_text(error, buffer, size);
    if (text != buffer) snprintf(buffer, size, "%s", text ? text : "unknown error");
}

static int64_t nanoseconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
int64_t cu_monotonic_nanoseconds(void) { return nanoseconds(CLOCK_MONOTONIC); }
int64_t cu_wall_nanoseconds(void) { return nanoseconds(CLOCK_REALTIME); }

static void write_all(int fd, const char *message, size_t length) {
    while (length > 0) {
        ssize_t n = write(fd, message, length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        message += n;
        length -= (size_t)n;
    }
}

void cu_write_stderr(const char *message, size_t length) {
    write_all(STDERR_FILENO, message, length);
}
void cu_write_stdout(const char *message, size_t length) {
    write_all(STDOUT_FILENO, message, length);
}

void cu_die(const char *message, size_t length) {
    cu_write_stderr(message, length);
    __builtin_trap();
}

ssize_t cu_read(int fd, void *buffer, size_t size) {
    ssize_t n;
    do n = read(fd, buffer, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t cu_write(int fd, const void *buffer, size_t size) {
    ssize_t n;
    do n = write(fd, buffer, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

// Linux frees the descriptor even when close reports EINTR: never close twice.
int cu_close(int fd) { return close(fd) < 0 && errno != EINTR ? -errno : 0; }

int cu_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
    return 0;
}

int cu_pipe(int fds[2]) { return new_pipe(fds); }

int cu_open_null(void) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

ptrdiff_t cu_find(const void *bytes, size_t size, const void *needle, size_t needle_size) {
    const char *found = needle_size == 1
        ? memchr(bytes, *(const unsigned char *)needle, size)
        : memmem(bytes, size, needle, needle_size);
    return found ? found - (const char *)bytes : -1;
}

void cu_sleep_milliseconds(int milliseconds) {
    struct timespec t = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
    nanosleep(&t, NULL);
}

void cu_ignore_broken_pipes(void) {
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) < 0 || action.sa_handler != SIG_DFL) return;
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}
