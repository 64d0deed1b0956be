// Calls of the C library that a signal interrupts all the time, for tests.
#pragma once

#include <stdbool.h>

enum ti_call { TI_RECV, TI_SEND, TI_SENDMSG, TI_READ, TI_WRITE, TI_ACCEPT, TI_CALLS };

// Whether this build can do so: not with ThreadSanitizer, and on Linux alone.
bool ti_is_available(void);
// From now on every second call fails with EINTR, in the whole process; or no more.
void ti_interrupt(bool now_on);
// How many calls have failed so.
int ti_interrupted(enum ti_call call);
