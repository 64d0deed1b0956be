// Threads where the systems differ: one form for the rest of this module. _GNU_SOURCE has to be
// defined before.
#pragma once

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <ucontext.h>
#elif defined(__FreeBSD__)
#include <pthread_np.h>
#include <sys/thr.h>
#include <ucontext.h>
#elif defined(__NetBSD__)
#include <lwp.h>
#include <ucontext.h>
#elif defined(__OpenBSD__)
#include <pthread_np.h>
#elif !defined(__APPLE__)
#error "Known here are Linux, Darwin, FreeBSD, NetBSD and OpenBSD."
#endif

// --- which thread ---
// The calling thread's number, of which no two threads of a process have the same at one time.
static inline int32_t thread_number(void) {
#if defined(__linux__)
    return (int32_t)syscall(SYS_gettid);
#elif defined(__APPLE__)
    // Counted up from the start of the system: the upper half stays zero for years.
    uint64_t number = 0;
    pthread_threadid_np(NULL, &number);
    return (int32_t)number;
#elif defined(__FreeBSD__)
    return (int32_t)pthread_getthreadid_np();
#elif defined(__NetBSD__)
    return (int32_t)_lwp_self();
#else
    return (int32_t)getthrid();
#endif
}

static inline bool is_main_thread(void) {
#if defined(__linux__)
    return thread_number() == getpid();
#elif defined(__NetBSD__)
    // The first has the number 1, and from NetBSD 10 on its process's.
    return thread_number() == 1 || thread_number() == getpid();
#else
    return pthread_main_np() == 1;
#endif
}

// At most 15 bytes, which every system takes.
static inline void name_this_thread(const char *name) {
#if defined(__APPLE__)
    pthread_setname_np(name);
#elif defined(__NetBSD__)
    pthread_setname_np(pthread_self(), "%s", (void *)(uintptr_t)name);
#elif defined(__OpenBSD__)
    pthread_set_name_np(pthread_self(), name);
#else
    pthread_setname_np(pthread_self(), name);
#endif
}

// --- a signal to one thread, by its number ---
// THREAD_SIGNAL_CODE is the si_code with which it comes. Darwin knows threads by their handles
// alone, and OpenBSD gives no code to tell it by: there it is not defined, and the rest not there.
#if defined(__linux__)
#define THREAD_SIGNAL_CODE SI_TKILL
static inline int signal_thread(int32_t thread, int signal) {
    return syscall(SYS_tgkill, getpid(), thread, signal) < 0 ? -errno : 0;
}
#elif defined(__FreeBSD__)
#define THREAD_SIGNAL_CODE SI_LWP
static inline int signal_thread(int32_t thread, int signal) {
    return thr_kill(thread, signal) < 0 ? -errno : 0;
}
#elif defined(__NetBSD__)
#define THREAD_SIGNAL_CODE SI_LWP
static inline int signal_thread(int32_t thread, int signal) {
    return _lwp_kill(thread, signal) < 0 ? -errno : 0;
}
#endif

#if defined(THREAD_SIGNAL_CODE)
// The instruction at which a signal arrived, from the context that its handler gets; 0 on a
// processor that is not known here.
static inline uint64_t interrupted_address(const void *context) {
    const ucontext_t *at = context;
    (void)at;
#if defined(_UC_MACHINE_PC)
    return (uint64_t)_UC_MACHINE_PC(at);
#elif defined(__linux__) && defined(__x86_64__)
    return (uint64_t)at->uc_mcontext.gregs[REG_RIP];
#elif defined(__linux__) && defined(__aarch64__)
    return (uint64_t)at->uc_mcontext.pc;
#elif defined(__FreeBSD__) && defined(__x86_64__)
    return (uint64_t)at->uc_mcontext.mc_rip;
#elif defined(__FreeBSD__) && defined(__aarch64__)
    return (uint64_t)at->uc_mcontext.mc_gpregs.gp_elr;
#else
    return 0;
#endif
}
#endif

// --- conditions that are waited for by the monotonic clock ---
static inline struct timespec time_from_now(clockid_t clock, int64_t nanoseconds) {
    struct timespec time;
    clock_gettime(clock, &time);
    int64_t sum = time.tv_nsec + nanoseconds % 1000000000;
    time.tv_sec += nanoseconds / 1000000000 + sum / 1000000000;
    time.tv_nsec = sum % 1000000000;
    return time;
}

#if defined(__APPLE__)
// Conditions go by the wall clock, but for waits whose length is given.
static inline void init_monotonic(pthread_cond_t *condition) { pthread_cond_init(condition, NULL); }

static inline int wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
                             const struct timespec *deadline) {
    struct timespec now, left;
    clock_gettime(CLOCK_MONOTONIC, &now);
    left.tv_sec = deadline->tv_sec - now.tv_sec;
    left.tv_nsec = deadline->tv_nsec - now.tv_nsec;
    if (left.tv_nsec < 0) {
        left.tv_nsec += 1000000000;
        left.tv_sec--;
    }
    if (left.tv_sec < 0) return ETIMEDOUT;
    return pthread_cond_timedwait_relative_np(condition, lock, &left);
}
#else
static inline void init_monotonic(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static inline int wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
                             const struct timespec *deadline) {
    return pthread_cond_timedwait(condition, lock, deadline);
}
#endif
