// A kqueue is three epoll descriptors: one for each filter, and an outer one, whose number is the
// kqueue's, that says which of the two has something. So each filter has edges of its own.
#define _GNU_SOURCE
#include "kevent_stand_in.h"

#include "event.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#undef close

enum { READ, WRITE, FILTERS };

struct note {
    bool isSet;
    bool isEdge;
    void *udata;
};

struct queue {
    int outer, inner[FILTERS];
    struct note (*notes)[FILTERS];
    int note_count;
    int first;
    struct queue *next;
};

static struct queue *queues;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static __thread struct kevent scripted[16];
static __thread int scripted_count, failure, calls_before_failure;

static struct queue *find(int kq) {
    pthread_mutex_lock(&lock);
    struct queue *queue = queues;
    while (queue && queue->outer != kq) queue = queue->next;
    pthread_mutex_unlock(&lock);
    return queue;
}

static void free_queue(struct queue *queue) {
    for (int i = 0; i < FILTERS; i++)
        if (queue->inner[i] >= 0) close(queue->inner[i]);
    if (queue->outer >= 0) close(queue->outer);
    free(queue->notes);
    free(queue);
}

int kqueue(void) {
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue) return errno = ENOMEM, -1;
    queue->outer = epoll_create1(0);
    bool ok = queue->outer >= 0;
    for (int i = 0; i < FILTERS; i++) {
        queue->inner[i] = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = i};
        ok = ok && queue->inner[i] >= 0 &&
            epoll_ctl(queue->outer, EPOLL_CTL_ADD, queue->inner[i], &event) == 0;
    }
    if (!ok) {
        int error = errno;
        free_queue(queue);
        return errno = error, -1;
    }
    pthread_mutex_lock(&lock);
    queue->next = queues;
    queues = queue;
    pthread_mutex_unlock(&lock);
    return queue->outer;
}

int stand_in_close(int fd) {
    struct queue *queue = NULL;
    pthread_mutex_lock(&lock);
    for (struct queue **link = &queues; *link && !queue; link = queue ? link : &(*link)->next)
        if ((*link)->outer == fd) queue = *link, *link = queue->next;
    pthread_mutex_unlock(&lock);
    if (!queue) return close(fd);
    free_queue(queue);
    return 0;
}

static struct note *note_of(struct queue *queue, int fd, int filter) {
    if (fd >= queue->note_count) {
        int count = fd + 64;
        void *grown = realloc(queue->notes, (size_t)count * sizeof *queue->notes);
        if (!grown) return NULL;
        queue->notes = grown;
        memset(queue->notes + queue->note_count, 0,
               (size_t)(count - queue->note_count) * sizeof *queue->notes);
        queue->note_count = count;
    }
    return &queue->notes[fd][filter];
}

static int change(struct queue *queue, const struct kevent *change) {
    int fd = (int)change->ident, filter = change->filter == EVFILT_READ ? READ : WRITE;
    if (cu_descriptor_check(fd) < 0) return errno = EBADF, -1;
    struct note *note = note_of(queue, fd, filter);
    if (!note) return errno = ENOMEM, -1;
    if (change->flags & EV_DELETE) {
        if (!note->isSet) return errno = ENOENT, -1;
        note->isSet = false;
        return epoll_ctl(queue->inner[filter], EPOLL_CTL_DEL, fd, NULL);
    }
    struct epoll_event event = {.data.fd = fd};
    event.events = filter == READ ? EPOLLIN | EPOLLRDHUP : EPOLLOUT;
    bool was_edge = note->isEdge;
    // The mode of a filter that is there stays.
    if (note->isSet && was_edge) event.events |= EPOLLET;
    note->udata = change->udata;
    if (note->isSet && epoll_ctl(queue->inner[filter], EPOLL_CTL_MOD, fd, &event) == 0) return 0;
    // None yet, or one of an earlier descriptor of this number, which left when that was closed.
    note->isEdge = change->flags & EV_CLEAR;
    event.events = note->isEdge ? event.events | EPOLLET : event.events & ~(uint32_t)EPOLLET;
    note->isSet = epoll_ctl(queue->inner[filter], EPOLL_CTL_ADD, fd, &event) == 0;
    return note->isSet ? 0 : -1;
}

static struct kevent report(struct queue *queue, int filter, const struct epoll_event *event) {
    int fd = event->data.fd, bytes = 0;
    struct kevent out = {
        .ident = (uintptr_t)fd,
        .filter = filter == READ ? EVFILT_READ : EVFILT_WRITE,
        .udata = queue->notes[fd][filter].udata,
    };
    uint32_t end = EPOLLHUP | EPOLLERR | (filter == READ ? EPOLLRDHUP : 0);
    if (event->events & end) out.flags |= EV_EOF;
    // A socket's pending error; which one can't be known here without taking it away.
    if (event->events & EPOLLERR) out.fflags = EIO;
    if (filter == READ && ioctl(fd, FIONREAD, &bytes) == 0) out.data = bytes;
    return out;
}

static int collect(struct queue *queue, struct kevent *events, int capacity) {
    struct epoll_event batch[512];
    int count = 0;
    queue->first = !queue->first;
    for (int i = 0; i < FILTERS && count < capacity; i++) {
        int filter = (i + queue->first) % FILTERS, room = capacity - count;
        int n = epoll_wait(queue->inner[filter], batch, room < 512 ? room : 512, 0);
        for (int j = 0; j < n; j++) events[count++] = report(queue, filter, &batch[j]);
    }
    return count;
}

static int milliseconds(const struct timespec *timeout) {
    if (!timeout) return -1;
    int64_t ms = (int64_t)timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000;
    return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

int kevent(int kq, const struct kevent *changes, int change_count, struct kevent *events,
           int event_count, const struct timespec *timeout) {
    if (failure && calls_before_failure-- == 0) {
        errno = failure;
        failure = 0;
        return -1;
    }
    struct queue *queue = find(kq);
    if (!queue) return errno = EBADF, -1;
    // As OS X 10.6 does.
    if (change_count > 1) return errno = EINVAL, -1;
    if (change_count == 1 && change(queue, changes) < 0) return -1;
    if (event_count == 0) return 0;
    if (scripted_count > 0) {
        int count = scripted_count < event_count ? scripted_count : event_count;
        memcpy(events, scripted, (size_t)count * sizeof *events);
        scripted_count = 0;
        return count;
    }
    struct epoll_event ready[FILTERS];
    int n = epoll_wait(queue->outer, ready, FILTERS, milliseconds(timeout));
    return n <= 0 ? n : collect(queue, events, event_count);
}

void kevent_stand_in_script(int fd, int filter, uint32_t flags, uint32_t fflags, int64_t data,
                            uint64_t udata) {
    if (scripted_count == 16) return;
    scripted[scripted_count++] = (struct kevent){
        (uintptr_t)fd, (int16_t)filter, (uint16_t)flags, fflags, data, (void *)(uintptr_t)udata};
}

void kevent_stand_in_fail(int calls, int error) {
    calls_before_failure = calls;
    failure = error;
}

int kevent_stand_in_filters(int fd) {
    int count = 0;
    pthread_mutex_lock(&lock);
    for (struct queue *queue = queues; queue; queue = queue->next)
        for (int filter = 0; fd < queue->note_count && filter < FILTERS; filter++)
            count += queue->notes[fd][filter].isSet;
    pthread_mutex_unlock(&lock);
    return count;
}
