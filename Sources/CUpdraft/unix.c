// The files of Unix sockets.
#define _GNU_SOURCE
#include "portable.h"

#include <errno.h>
#include <fcntl.h>
#if defined(__linux__)
#include <sys/eventfd.h>
#endif
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int cu_socket_unix(void) { return new_socket(AF_UNIX, SOCK_STREAM); }

int cu_socket_file(const char *path, struct cu_socket_file *out) {
    struct stat found;
    if (lstat(path, &found) < 0) return -errno;
    out->device = (uint64_t)found.st_dev;
    out->inode = (uint64_t)found.st_ino;
    out->mode = (uint32_t)(found.st_mode & 07777);
    out->is_socket = S_ISSOCK(found.st_mode);
    return 0;
}

// On Linux the file that bind(2) makes has the socket's own mode, less the umask.
void cu_limit_socket_mode(int fd, uint32_t mode) { fchmod(fd, (mode_t)mode); }

int cu_set_file_mode(const char *path, uint32_t mode) {
    return chmod(path, (mode_t)mode) < 0 ? -errno : 0;
}

int cu_unlink(const char *path) { return unlink(path) < 0 ? -errno : 0; }

int cu_working_folder(char *buffer, size_t size) { return getcwd(buffer, size) ? 0 : -errno; }

int cu_lock_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    int r;
    do r = flock(fd, LOCK_EX | LOCK_NB);
    while (r < 0 && errno == EINTR);
    if (r == 0) return fd;
    int error = errno;
    close(fd);
    return error == EWOULDBLOCK ? -EAGAIN : -error;
}

void cu_unlock_folder(int fd) {
    // A child that is being started may still have a copy of the descriptor.
    flock(fd, LOCK_UN);
    close(fd);
}

int cu_spare_descriptor(void) {
#if defined(__linux__)
    // Needs no file: there may be no /dev in a container or below a chroot.
    int fd = eventfd(0, EFD_CLOEXEC);
#else
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
#endif
    return fd < 0 ? -errno : fd;
}

int cu_adopt_descriptor(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
    flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0) return -errno;
    return 0;
}
