// What a loop's thread tells a monitor thread about itself, and how the monitor looks at the
// thread's stack while the thread is blocked.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cu_address.h"

// --- the pulse of a loop: written by its thread only, read by the monitor ----------------------
struct cu_pulse {
    // When the work of the turn that is under way began, on the monotonic clock, in nanoseconds;
    // 0 while the loop waits. No two turns have the same.
    int64_t busy_since;
    // A kind of the list below, and in the bits above the eighth the descriptor of the last kind.
    uint64_t activity;
    // The last number that a name of a task was given (TaskNames).
    uint64_t names;
    // What runs, by a name that the loop's thread keeps while it is here; NULL if it has none. Of
    // the loop's thread and its signal handlers alone.
    const char *work;
};
enum {
    CU_ACTIVITY_OTHER = 0,
    CU_ACTIVITY_CALLBACKS = 1,
    CU_ACTIVITY_TIMEOUTS = 2,
    CU_ACTIVITY_OUTPUT = 3,
    CU_ACTIVITY_DESCRIPTOR = 4
};
static inline void cu_pulse_set_busy_since(struct cu_pulse *pulse, int64_t time) {
    __atomic_store_n(&pulse->busy_since, time, __ATOMIC_RELAXED);
}
static inline int64_t cu_pulse_busy_since(struct cu_pulse *pulse) {
    return __atomic_load_n(&pulse->busy_since, __ATOMIC_RELAXED);
}
static inline void cu_pulse_set_activity(struct cu_pulse *pulse, uint64_t activity) {
    __atomic_store_n(&pulse->activity, activity, __ATOMIC_RELAXED);
}
static inline void cu_pulse_set_names(struct cu_pulse *pulse, uint64_t names) {
    __atomic_store_n(&pulse->names, names, __ATOMIC_RELAXED);
}
// Returns the name that was there.
static inline const char *cu_pulse_set_work(struct cu_pulse *pulse, const char *work) {
    const char *outer = __atomic_load_n(&pulse->work, __ATOMIC_RELAXED);
    // A signal handler of this thread is to find the name whole, and not to find one that is gone.
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&pulse->work, work, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return outer;
}

// --- samples -----------------------------------------------------------------------------------
enum { CU_SAMPLE_FRAMES = 64, CU_SAMPLE_WORK = 128 };
struct cu_sample {
    uint64_t activity;
    // The running task's address, or 0.
    uint64_t task;
    // The last name that tasks had been given by then.
    uint64_t names;
    // The other end of the descriptor that was ready; of length 0 if it is no connected socket.
    struct cu_address peer;
    // The beginning of the name of what runs; empty if it has none.
    char work[CU_SAMPLE_WORK];
    // 1 on FreeBSD and NetBSD; 0 on Darwin and OpenBSD, where the activity is all that is known.
    int32_t count;
    // From the interrupted instruction outwards; all but the first are return addresses.
    uint64_t frames[CU_SAMPLE_FRAMES];
};
int32_t cu_thread_number(void);
// Installs the process's handler of SIGURG, once, and lets the calling thread (a loop's) and the
// unwinder do now what they would allocate for at their first use. 0, or a negated errno.
int cu_sample_prepare(void);
// Interrupts the thread, where the system can, and copies its stack, if it is still in the turn
// that began at busy_since.
// 0; -ESTALE if the turn is over; -ETIMEDOUT if the thread did not answer; -ESRCH if it is gone.
int cu_sample_take(int32_t thread, struct cu_pulse *pulse, int64_t busy_since, int64_t timeout,
                   struct cu_sample *out);

// --- the monitor thread's own ------------------------------------------------------------------
// Waits so many nanoseconds (without limit if negative), or until the wake.
void cu_monitor_wait(int64_t nanoseconds);
void cu_monitor_wake(void);
// Ends the process by SIGALRM in its default disposition.
void cu_monitor_kill(void);

// --- symbols -----------------------------------------------------------------------------------
struct cu_symbol {
    char name[2048];   // demangled; empty if the address has no name
    char module[256];  // the file name of the program or library, without folders; empty if unknown
    uint64_t offset;   // from the start of the function, or else of the module
};
// Allocates and reads files: not for signal handlers.
void cu_symbolise(uint64_t address, struct cu_symbol *out);
