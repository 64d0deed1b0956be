// Stands before the C library's calls that move bytes and counts them. While it is switched on,
// every second one fails with EINTR before it has done anything, which non-blocking descriptors
// never do by themselves; and every second of those that come through is cut short, as sendfile is
// by a signal although the socket has room. A disk that fails is played here too.
//
// ThreadSanitizer has to see these calls itself, so that nothing stands before them there.
#define _GNU_SOURCE
#include "test_interrupts.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/stat.h>

static atomic_bool is_on;
static atomic_uint turns[TI_CALLS];
static atomic_int calls[TI_CALLS], interrupted[TI_CALLS], shortened[TI_CALLS], pieces;
static atomic_int read_error;
static atomic_ulong bad_inode;
static atomic_long bad_from;

void ti_interrupt(bool now_on) { atomic_store(&is_on, now_on); }

int ti_interrupted(enum ti_call call) { return atomic_load(&interrupted[call]); }

int ti_shortened(enum ti_call call) { return atomic_load(&shortened[call]); }

int ti_calls(enum ti_call call) { return atomic_load(&calls[call]); }

void ti_fail_reads(int fd, long from, int error) {
    struct stat info;
    atomic_store(&read_error, 0);
    if (error == 0 || fstat(fd, &info) < 0) return;
    atomic_store(&bad_inode, info.st_ino);
    atomic_store(&bad_from, from);
    atomic_store(&read_error, error);
}

int ti_pieces(void) { return atomic_load(&pieces); }

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TI_IS_ABSENT
#endif
#endif

#if defined(__linux__) && !defined(TI_IS_ABSENT)
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

bool ti_is_available(void) { return true; }

static bool interrupts(enum ti_call call) {
    atomic_fetch_add(&calls[call], 1);
    if (!atomic_load(&is_on) || atomic_fetch_add(&turns[call], 1) % 2 != 0) return false;
    atomic_fetch_add(&interrupted[call], 1);
    errno = EINTR;
    return true;
}

// What a call that was not interrupted may do of what it was asked for.
static size_t share(enum ti_call call, size_t asked) {
    if (!atomic_load(&is_on) || asked < 2 || atomic_load(&turns[call]) % 4 != 0) return asked;
    atomic_fetch_add(&shortened[call], 1);
    return asked / 2;
}

// How much of a file can be read: none is an error.
static size_t readable(int file, long offset, size_t asked) {
    int error = atomic_load(&read_error);
    struct stat info;
    if (error == 0 || fstat(file, &info) < 0 || info.st_ino != atomic_load(&bad_inode)) return asked;
    long left = atomic_load(&bad_from) - offset;
    if (left <= 0) {
        errno = error;
        return 0;
    }
    return (size_t)left < asked ? (size_t)left : asked;
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
    atomic_store(&pieces, (int)message->msg_iovlen);
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

ssize_t sendfile(int fd, int file, off_t *offset, size_t size) {
    if (interrupts(TI_SENDFILE)) return -1;
    size = readable(file, *offset, share(TI_SENDFILE, size));
    return size == 0 ? -1 : syscall(SYS_sendfile, fd, file, offset, size);
}

ssize_t sendto(int fd, const void *buffer, size_t size, int flags, const struct sockaddr *to,
               socklen_t length) {
    if (interrupts(TI_SENDTO)) return -1;
    return syscall(SYS_sendto, fd, buffer, size, flags, to, length);
}

int recvmmsg(int fd, struct mmsghdr *list, unsigned count, int flags, struct timespec *timeout) {
    if (interrupts(TI_RECVMMSG)) return -1;
    count = (unsigned)share(TI_RECVMMSG, count);
    return (int)syscall(SYS_recvmmsg, fd, list, count, flags, timeout);
}

int sendmmsg(int fd, struct mmsghdr *list, unsigned count, int flags) {
    if (interrupts(TI_SENDMMSG)) return -1;
    return (int)syscall(SYS_sendmmsg, fd, list, (unsigned)share(TI_SENDMMSG, count), flags);
}

ssize_t pread(int fd, void *buffer, size_t size, off_t offset) {
    if (interrupts(TI_PREAD)) return -1;
    size = readable(fd, offset, share(TI_PREAD, size));
    return size == 0 ? -1 : syscall(SYS_pread64, fd, buffer, size, offset);
}
#else
bool ti_is_available(void) { return false; }
#endif
