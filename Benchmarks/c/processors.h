// Keeps threads on processors of their own, so that figures of two threads do not depend on where
// the system puts them. Linux.
#pragma once

#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PROCESSORS_MAX = 1024, PROCESSORS_BITS = sizeof(unsigned long) * CHAR_BIT };

// The numbers of the first two processors that the calling thread may use; false if there is one
// only. To be asked before a thread stays on one, for the threads that it makes do so too.
static inline _Bool two_processors(int numbers[2]) {
    unsigned long allowed[PROCESSORS_MAX / PROCESSORS_BITS] = {0};
    if (syscall(SYS_sched_getaffinity, 0, sizeof allowed, allowed) < 0) return 0;
    int found = 0;
    for (int i = 0; i < PROCESSORS_MAX && found < 2; i++)
        if (allowed[i / PROCESSORS_BITS] >> i % PROCESSORS_BITS & 1) numbers[found++] = i;
    return found == 2;
}

static inline void stay_on_processor(int number) {
    unsigned long one[PROCESSORS_MAX / PROCESSORS_BITS] = {0};
    one[number / PROCESSORS_BITS] = 1UL << number % PROCESSORS_BITS;
    syscall(SYS_sched_setaffinity, 0, sizeof one, one);
}
