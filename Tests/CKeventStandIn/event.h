// What <sys/event.h> declares on the BSDs, as far as the shim uses it. The names are macros, so that
// the stand-in can be linked beside a system's own.
#pragma once

#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define kevent stand_in_kevent
#define kqueue stand_in_kqueue
#define close stand_in_close

struct kevent {
    uintptr_t ident;
    int16_t filter;
    uint16_t flags;
    uint32_t fflags;
    int64_t data;
    void *udata;
};

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004
#define EV_CLEAR 0x0020
#define EV_ERROR 0x4000
#define EV_EOF 0x8000
#define EV_SET(event, id, filt, flag, fflag, dat, user) \
    (*(event) = (struct kevent){(id), (filt), (flag), (fflag), (dat), (user)})

int kqueue(void);
int kevent(int kq, const struct kevent *changes, int change_count, struct kevent *events,
           int event_count, const struct timespec *timeout);
int close(int fd);
