// Descriptors and errors where the systems differ: one form for the rest of this module. As
// everywhere in it, what fails is a negated errno. _GNU_SOURCE has to be defined before.
#pragma once

#include "cupdraft.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// --- new descriptors: non-blocking, and closed on exec ---
#if defined(__APPLE__)
// Without flags to ask for it at once. A program that another thread starts in between has a copy,
// unless cu_spawn starts it, which hands on nothing that it was not told to.
static inline int adopt_or_close(int fd) {
    if (fd < 0) return -errno;
    int result = cu_adopt_descriptor(fd);
    if (result == 0) return fd;
    close(fd);
    return result;
}

static inline int adopt_or_close_socket(int fd) {
    fd = adopt_or_close(fd);
    int one = 1;
    // For systems before MSG_NOSIGNAL. A socket that has failed already refuses it, and says why
    // when it is used.
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
    return fd;
}

static inline int adopt_or_close_both(int fds[2], int (*adopt)(int fd)) {
    int result = adopt(fds[0]);
    if (result < 0) {
        close(fds[1]);
        return result;
    }
    result = adopt(fds[1]);
    if (result < 0) close(fds[0]);
    return result < 0 ? result : 0;
}

static inline int new_socket(int family, int type) {
    return adopt_or_close_socket(socket(family, type, 0));
}
static inline int new_socket_pair(int fds[2]) {
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0) return -errno;
    return adopt_or_close_both(fds, adopt_or_close_socket);
}
static inline int new_pipe(int fds[2]) {
    return pipe(fds) < 0 ? -errno : adopt_or_close_both(fds, adopt_or_close);
}
static inline int accept_new(int fd, struct sockaddr *peer, socklen_t *length) {
    return adopt_or_close_socket(accept(fd, peer, length));
}
#else
static inline int new_socket(int family, int type) {
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}
static inline int new_socket_pair(int fds[2]) {
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    return socketpair(AF_UNIX, type, 0, fds) < 0 ? -errno : 0;
}
static inline int new_pipe(int fds[2]) {
    return pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0 ? -errno : 0;
}
static inline int accept_new(int fd, struct sockaddr *peer, socklen_t *length) {
    int connection = accept4(fd, peer, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return connection < 0 ? -errno : connection;
}
#endif

// --- errors ---
// The text of an errno, maybe in the buffer; NULL if there is none. Any thread.
static inline const char *error_text(int error, char *buffer, size_t size) {
#if defined(__GLIBC__)
    (void)buffer, (void)size;
    return strerrordesc_np(error);
#else
    return strerror_r(error, buffer, size) == 0 ? buffer : NULL;
#endif
}
