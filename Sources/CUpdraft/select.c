#define _GNU_SOURCE
#include "cupdraft.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/stat.h>

struct cu_select {
    fd_set read, write;
    // No bit is set at or above it.
    int end;
    // Where the next scan of the answer starts, so that a full batch starves nobody.
    int start;
};

const int cu_select_limit = FD_SETSIZE;

struct cu_select *cu_select_create(void) { return calloc(1, sizeof(struct cu_select)); }
void cu_select_destroy(struct cu_select *set) { free(set); }

void cu_select_arm(struct cu_select *set, int fd, uint32_t directions) {
    if (fd < 0 || fd >= FD_SETSIZE) return;
    if (directions & CU_SELECT_READ) FD_SET(fd, &set->read);
    if (directions & CU_SELECT_WRITE) FD_SET(fd, &set->write);
    if (directions && fd >= set->end) set->end = fd + 1;
}

static bool is_armed(const struct cu_select *set, int fd) {
    return FD_ISSET(fd, &set->read) || FD_ISSET(fd, &set->write);
}

void cu_select_disarm(struct cu_select *set, int fd, uint32_t directions) {
    if (fd < 0 || fd >= FD_SETSIZE) return;
    if (directions & CU_SELECT_READ) FD_CLR(fd, &set->read);
    if (directions & CU_SELECT_WRITE) FD_CLR(fd, &set->write);
    while (set->end > 0 && !is_armed(set, set->end - 1)) set->end--;
}

// One descriptor of the set was closed: the system does not say which.
static int find_closed(const struct cu_select *set, struct cu_select_event *events, int capacity) {
    int count = 0;
    for (int fd = 0; fd < set->end && count < capacity; fd++) {
        if (!is_armed(set, fd) || cu_descriptor_check(fd) != -EBADF) continue;
        events[count++] = (struct cu_select_event){.fd = fd, .directions = CU_SELECT_CLOSED};
    }
    return count;
}

static int collect(struct cu_select *set, const fd_set *read, const fd_set *write, int ready,
                   struct cu_select_event *events, int capacity) {
    int count = 0, fd = set->start < set->end ? set->start : 0;
    // `ready` counts directions: a descriptor ready for both counts twice.
    for (int steps = 0; steps < set->end && ready > 0;
         steps++, fd = fd + 1 < set->end ? fd + 1 : 0) {
        uint32_t directions = 0;
        if (FD_ISSET(fd, read)) directions |= CU_SELECT_READ, ready--;
        if (FD_ISSET(fd, write)) directions |= CU_SELECT_WRITE, ready--;
        if (!directions) continue;
        if (count == capacity) break;
        events[count++] = (struct cu_select_event){.fd = fd, .directions = directions};
    }
    set->start = fd;
    return count;
}

// select does not tell a failure from readiness; of those that are ready, poll tells at once.
static void find_failed(struct cu_select_event *events, int count) {
    struct pollfd list[FD_SETSIZE];
    for (int i = 0; i < count; i++) list[i] = (struct pollfd){.fd = events[i].fd};
    if (poll(list, (nfds_t)count, 0) <= 0) return;
    for (int i = 0; i < count; i++)
        if (list[i].revents & (POLLERR | POLLHUP)) events[i].directions |= CU_SELECT_ERROR;
}

int cu_select_wait(struct cu_select *set, struct cu_select_event *events, int capacity,
                   int64_t timeout_ns) {
    fd_set read = set->read, write = set->write;
    struct timeval timeout, *limit = NULL;
    if (timeout_ns >= 0) {
        // Rounded up to microseconds; at most what every system takes (a longer wait ends early,
        // and the loop goes round and waits again).
        int64_t us = timeout_ns / 1000 + (timeout_ns % 1000 != 0);
        int64_t seconds = us / 1000000;
        timeout.tv_sec = seconds < CU_TIMEOUT_SECONDS_MAX ? seconds : CU_TIMEOUT_SECONDS_MAX;
        timeout.tv_usec = us % 1000000;
        limit = &timeout;
    }
    int n = select(set->end, &read, &write, NULL, limit);
    if (n < 0) return errno == EBADF ? find_closed(set, events, capacity) : -errno;
    int count = n == 0 ? 0 : collect(set, &read, &write, n, events, capacity);
    find_failed(events, count);
    return count;
}

int cu_descriptor_check(int fd) {
    struct stat status;
    if (fstat(fd, &status) < 0) return -errno;
    return S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) ? -EPERM : 0;
}
