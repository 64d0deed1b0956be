#define _GNU_SOURCE
#include "cupdraft.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

const int cu_eperm = EPERM, cu_ebusy = EBUSY, cu_eio = EIO;

static atomic_bool taken[3];

// Above the standard numbers, should one of them be free.
static int duplicate(int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? -errno : copy;
}

// Pipes, and terminals on the side of their programs: the other side (/dev/ptmx) opened anew is a
// new terminal, and so may any other device be a new one of its kind.
static bool may_be_reopened(int fd, const struct stat *info) {
    if (S_ISFIFO(info->st_mode)) return true;
    if (!isatty(fd)) return false;
#ifdef TIOCGPTN
    unsigned int terminal;
    return ioctl(fd, TIOCGPTN, &terminal) < 0;
#else
    return true;
#endif
}

// O_NONBLOCK is a mark of the open file, which a terminal's other users and the parent share. What
// is opened anew has marks of its own.
static int reopen(int number, bool is_output, const struct stat *old) {
#ifdef __linux__
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", number);
    int mode = is_output ? O_WRONLY : O_RDONLY, fd;
    do fd = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return -errno;
    struct stat now;
    int result = -ESTALE;
    if (fstat(fd, &now) == 0 && now.st_dev == old->st_dev && now.st_ino == old->st_ino)
        result = fd < 3 ? duplicate(fd) : fd;
    if (result != fd) close(fd);
    return result;
#else
    (void)number, (void)is_output, (void)old;
    return -ENOSYS;
#endif
}

static int open_copy(int number, bool is_output, enum cu_standard_kind *kind) {
    struct stat info;
    if (fstat(number, &info) < 0) return -errno;
    if (S_ISSOCK(info.st_mode)) {
        *kind = CU_STANDARD_SOCKET;
    } else if (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode)) {
        int own = may_be_reopened(number, &info) ? reopen(number, is_output, &info) : -ENOTSUP;
        *kind = S_ISFIFO(info.st_mode) ? CU_STANDARD_SHARED_PIPE : CU_STANDARD_SHARED;
        if (own >= 0) {
            *kind = CU_STANDARD_OWN;
            return own;
        }
    } else {
        *kind = CU_STANDARD_FILE;
    }
    return duplicate(number);
}

int cu_standard_open(int number, bool is_output, enum cu_standard_kind *kind) {
    if (atomic_exchange(&taken[number], true)) return -EBUSY;
    int fd = open_copy(number, is_output, kind);
    if (fd < 0) cu_standard_release(number);
    return fd;
}

void cu_standard_release(int number) { atomic_store(&taken[number], false); }

int cu_standard_silence(int number) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return -errno;
    int result = dup2(null, number) < 0 ? -errno : 0;
    close(null);
    return result;
}

bool cu_is_plain_pipe(int fd) {
    struct stat status;
    if (fstat(fd, &status) < 0 || !S_ISFIFO(status.st_mode)) return false;
#ifdef __linux__
    // A pipe of packets: a read brings one.
    if (fcntl(fd, F_GETFL) & O_DIRECT) return false;
#endif
    return true;
}

int cu_standard_ready(int fd, bool is_output) {
    struct pollfd entry = {.fd = fd, .events = is_output ? POLLOUT : POLLIN};
    int n;
    do n = poll(&entry, 1, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

// Standard input and output may be one socket, which tells an error to one caller only.
static pthread_mutex_t failure_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    dev_t device;
    ino_t inode;
    int error;
} failure;

// The error of the socket, now or before, as a positive errno; `now` is what it has just told.
static int failure_of(int fd, int now) {
    struct stat info;
    if (fstat(fd, &info) < 0) return now;
    pthread_mutex_lock(&failure_lock);
    bool is_same = failure.device == info.st_dev && failure.inode == info.st_ino;
    if (now == 0) {
        if (is_same) now = failure.error;
    } else if (now != EPIPE && (!is_same || failure.error == 0)) {
        failure.device = info.st_dev;
        failure.inode = info.st_ino;
        failure.error = now;
    }
    pthread_mutex_unlock(&failure_lock);
    return now;
}

int cu_standard_error(int fd) { return failure_of(fd, cu_socket_error(fd)); }

ssize_t cu_standard_recv(int fd, void *buffer, size_t size) {
    ssize_t n;
    do n = recv(fd, buffer, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n == 0) return -failure_of(fd, 0);
    if (n < 0 && errno != EAGAIN) return -failure_of(fd, errno);
    return n < 0 ? -errno : n;
}

ssize_t cu_standard_send(int fd, const void *buffer, size_t size) {
    ssize_t n;
    do n = send(fd, buffer, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EPIPE) {
        int error = failure_of(fd, 0);
        return error ? -error : -EPIPE;
    }
    if (n < 0 && errno != EAGAIN) return -failure_of(fd, errno);
    return n < 0 ? -errno : n;
}
