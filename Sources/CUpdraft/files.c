#define _GNU_SOURCE
#include "cupdraft.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/sendfile.h>
#endif

int cu_open_file(const char *path) {
    int fd;
    do fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int64_t cu_file_size(int fd) {
    struct stat info;
    if (fstat(fd, &info) < 0) return -errno;
    return S_ISREG(info.st_mode) ? (int64_t)info.st_size : -EINVAL;
}

bool cu_is_readable(int fd) {
    int flags = fcntl(fd, F_GETFL);
#ifdef O_PATH
    if (flags >= 0 && flags & O_PATH) return false;
#endif
    return flags < 0 || (flags & O_ACCMODE) != O_WRONLY;
}

int cu_duplicate(int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? -errno : copy;
}

ssize_t cu_pread(int fd, void *buffer, size_t size, int64_t offset) {
    ssize_t n;
    do n = pread(fd, buffer, size, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t cu_send_file(int fd, int file, int64_t offset, size_t size) {
#ifdef __linux__
    off_t from = (off_t)offset;
    ssize_t n;
    do n = sendfile(fd, file, &from, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
#else
    (void)fd, (void)file, (void)offset, (void)size;
    return -ENOSYS;
#endif
}
