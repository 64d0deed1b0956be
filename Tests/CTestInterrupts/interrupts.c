// Stands before the C library's calls that move bytes: while it is switched on, every second one
// fails with EINTR before it has done anything, which non-blocking descriptors never do by
// themselves.
//
// ThreadSanitizer has to see these calls itself, so that nothing stands before them there.
#define _GNU_SOURCE
#include "test_interrupts.h"

#include <errno.h>
#include <stdatomic.h>

static atomic_bool is_on;
static atomic_uint calls;
static atomic_int interrupted[TI_CALLS];

void ti_interrupt(bool now_on) { atomic_store(&is_on, now_on); }

int ti_interrupted(enum ti_call call) { return atomic_load(&interrupted[call]); }

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TI_IS_ABSENT
#endif
#endif

#if defined(__linux__) && !defined(TI_IS_ABSENT)
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

bool ti_is_available(void) { return true; }

static bool interrupts(enum ti_call call) {
    if (!atomic_load(&is_on) || atomic_fetch_add(&calls, 1) % 2 != 0) return false;
    atomic_fetch_add(&interrupted[call], 1);
    errno = EINTR;
    return true;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags) {
    if (interrupts(TI_RECV)) return -1;
    return syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
}

ssize_t send(int fd, const void *buffer, size_t size, int flags) {
    if (interrupts(TI_SEND)) return -1;
    return syscall(SYS_sendto, fd, buffer, size, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    if (interrupts(TI_SENDMSG)) return -1;
    return syscall(SYS_sendmsg, fd, message, flags);
}

ssize_t read(int fd, void *buffer, size_t size) {
    if (interrupts(TI_READ)) return -1;
    return syscall(SYS_read, fd, buffer, size);
}

ssize_t write(int fd, const void *buffer, size_t size) {
    if (interrupts(TI_WRITE)) return -1;
    return syscall(SYS_write, fd, buffer, size);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    if (interrupts(TI_ACCEPT)) return -1;
    return (int)syscall(SYS_accept4, fd, address, length, flags);
}
#else
bool ti_is_available(void) { return false; }
#endif
