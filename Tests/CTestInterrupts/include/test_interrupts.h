// Calls of the C library that a signal interrupts all the time, for tests; and how many there were.
#pragma once

#include <stdbool.h>

enum ti_call {
    TI_RECV,
    TI_SEND,
    TI_SENDMSG,
    TI_READ,
    TI_WRITE,
    TI_ACCEPT,
    TI_SENDFILE,
    TI_SENDTO,
    TI_RECVMMSG,
    TI_SENDMMSG,
    TI_PREAD,
    TI_CALLS
};

// Whether this build can do so: not with ThreadSanitizer, and on Linux alone.
bool ti_is_available(void);
// From now on every second call fails with EINTR, and of the others, where a signal may come when
// some is done already, every second does half of what it was asked for; or no more.
void ti_interrupt(bool now_on);
// From now on this file can't be read from that byte on: sendfile and pread fail with the error
// there. No file fails after an error of 0.
void ti_fail_reads(int fd, long from, int error);
// How many calls were interrupted.
int ti_interrupted(enum ti_call call);
// How many were cut short: of sendfile, pread, recvmmsg and sendmmsg.
int ti_shortened(enum ti_call call);
// How many there were in all, interrupted or not; and how many pieces the last of sendmsg had.
int ti_calls(enum ti_call call);
int ti_pieces(void);
