#define _GNU_SOURCE
#include "cupdraft.h"

#include <errno.h>

#if defined(__linux__)
#include <sys/epoll.h>
#include <unistd.h>

const bool cu_has_epoll = true;
const uint32_t cu_epoll_read = EPOLLIN, cu_epoll_write = EPOLLOUT, cu_epoll_error = EPOLLERR,
               cu_epoll_hangup = EPOLLHUP, cu_epoll_read_hangup = EPOLLRDHUP,
               cu_epoll_urgent = EPOLLPRI, cu_epoll_edge = EPOLLET;

int cu_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int control(int epoll, int operation, int fd, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data.u64 = token};
    return epoll_ctl(epoll, operation, fd, &event) < 0 ? -errno : 0;
}
int cu_epoll_add(int epoll, int fd, uint32_t events, uint64_t token) {
    return control(epoll, EPOLL_CTL_ADD, fd, events, token);
}
int cu_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token) {
    return control(epoll, EPOLL_CTL_MOD, fd, events, token);
}
int cu_epoll_remove(int epoll, int fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int cu_epoll_wait(int epoll, struct cu_event *events, int capacity, int timeout_ms) {
    struct epoll_event batch[512];
    if (capacity > 512) capacity = 512;
    int n = epoll_wait(epoll, batch, capacity, timeout_ms);
    if (n < 0) return -errno;
    for (int i = 0; i < n; i++) {
        events[i].token = batch[i].data.u64;
        events[i].events = batch[i].events;
    }
    return n;
}
#else
const bool cu_has_epoll = false;
const uint32_t cu_epoll_read, cu_epoll_write, cu_epoll_error, cu_epoll_hangup,
    cu_epoll_read_hangup, cu_epoll_urgent, cu_epoll_edge;

int cu_epoll_create(void) { return -ENOSYS; }
int cu_epoll_add(int epoll, int fd, uint32_t events, uint64_t token) {
    (void)epoll, (void)fd, (void)events, (void)token;
    return -ENOSYS;
}
int cu_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token) {
    (void)epoll, (void)fd, (void)events, (void)token;
    return -ENOSYS;
}
int cu_epoll_remove(int epoll, int fd) {
    (void)epoll, (void)fd;
    return -ENOSYS;
}
int cu_epoll_wait(int epoll, struct cu_event *events, int capacity, int timeout_ms) {
    (void)epoll, (void)events, (void)capacity, (void)timeout_ms;
    return -ENOSYS;
}
#endif
