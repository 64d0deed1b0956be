// A stand-in of kevent(2) for tests on systems without it. Not part of any product.
//
// It keeps the rules that KqueuePoller depends on: one filter for each direction; EV_ADD of a filter
// that is there replaces its user data and keeps its mode; EV_DELETE of one that is not fails with
// ENOENT; EV_CLEAR reports a change once; EV_EOF with the end of a direction; a closed descriptor
// leaves by itself. It can be told to fail, and to report what no descriptor here can bring about.
#pragma once

#include <stdint.h>

#include "cupdraft.h"

// Values as on FreeBSD and Darwin.
#define STAND_IN_EVFILT_READ (-1)
#define STAND_IN_EVFILT_WRITE (-2)
#define STAND_IN_EV_ERROR 0x4000
#define STAND_IN_EV_EOF 0x8000

// The shim of CUpdraft, compiled against the stand-in.
const struct cu_kqueue_calls *cu_kqueue_stand_in(void);

// The next wait on the calling thread reports this event, with whatever else was scripted, before it
// looks at any descriptor. At most 16.
void kevent_stand_in_script(int fd, int filter, uint32_t flags, uint32_t fflags, int64_t data,
                            uint64_t udata);
// On the calling thread, `calls` more calls of kevent succeed, and the one after them fails.
void kevent_stand_in_fail(int calls, int error);
// Filters that are registered, on all queues, for the descriptor.
int kevent_stand_in_filters(int fd);

// Defined by the tests. Called once in every process that they run in, the new ones of exit tests
// among them, before `main`.
void updraft_tests_will_begin(void);
