// kevent(2) behind the few calls that KqueuePoller makes. Compiled a second time in tests, against
// a stand-in that CU_KEVENT_HEADER names, so that it runs on systems without kqueue too.
#include "cupdraft.h"

#if defined(CU_KEVENT_HEADER)
#include CU_KEVENT_HEADER
#define HAS_KQUEUE 1
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__NetBSD__)
#include <sys/event.h>
#define HAS_KQUEUE 1
#endif

#if HAS_KQUEUE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

_Static_assert(sizeof(void *) >= sizeof(uint64_t), "a token travels as an event's user data");

static int create(void) {
    int fd = kqueue();
    if (fd < 0) return -errno;
    // kqueue1(O_CLOEXEC) is not everywhere; and fork does not hand a kqueue on, so that no child
    // can take it along between these two calls.
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

// One change at a time: OS X 10.6 refuses two, and the error names what failed.
static int change(int kq, int fd, int filter, uint16_t flags, uint64_t token) {
    struct kevent event;
    EV_SET(&event, (uintptr_t)fd, filter == CU_KQUEUE_READ ? EVFILT_READ : EVFILT_WRITE, flags, 0,
           0, (void *)(uintptr_t)token);
    int n;
    do n = kevent(kq, &event, 1, NULL, 0, NULL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static int add(int kq, int fd, int filter, bool edge, uint64_t token) {
    return change(kq, fd, filter, (uint16_t)(EV_ADD | EV_ENABLE | (edge ? EV_CLEAR : 0)), token);
}

static int delete(int kq, int fd, int filter) { return change(kq, fd, filter, EV_DELETE, 0); }

static struct cu_kqueue_event translate(const struct kevent *event) {
    struct cu_kqueue_event out = {
        .token = (uint64_t)(uintptr_t)event->udata,
        .fd = (int32_t)event->ident,
        .filter = event->filter == EVFILT_READ ? CU_KQUEUE_READ : CU_KQUEUE_WRITE,
    };
    if (event->flags & EV_EOF) {
        out.flags |= CU_KQUEUE_EOF;
        // A socket's pending error comes with its end.
        if (event->fflags != 0) out.flags |= CU_KQUEUE_ERROR;
    }
    if (event->flags & EV_ERROR) out.flags |= CU_KQUEUE_ERROR;
    return out;
}

static int wait_for(int kq, struct cu_kqueue_event *events, int capacity, int64_t timeout_ns) {
    struct kevent batch[512];
    struct timespec timeout, *limit = NULL;
    if (timeout_ns >= 0) {
        int64_t seconds = timeout_ns / 1000000000;
        timeout.tv_sec = seconds < CU_TIMEOUT_SECONDS_MAX ? seconds : CU_TIMEOUT_SECONDS_MAX;
        timeout.tv_nsec = timeout_ns % 1000000000;
        limit = &timeout;
    }
    if (capacity > 512) capacity = 512;
    int n = kevent(kq, NULL, 0, batch, capacity, limit);
    if (n < 0) return -errno;
    for (int i = 0; i < n; i++) events[i] = translate(&batch[i]);
    return n;
}

static int end(int kq) { return close(kq) < 0 ? -errno : 0; }

static const struct cu_kqueue_calls calls = {create, add, delete, wait_for, end};

const struct cu_kqueue_calls *cu_kqueue_system(void) { return &calls; }
#else
const struct cu_kqueue_calls *cu_kqueue_system(void) { return NULL; }
#endif
