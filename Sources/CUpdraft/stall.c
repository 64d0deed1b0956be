// The stack of a blocked thread, taken by a signal handler that runs on it. The handler calls
// nothing but backtrace (primed), gettid, getpeername, sem_post and atomics: it takes no lock,
// allocates nothing and logs nothing. What the addresses mean is worked out later, by the monitor
// thread.
#define _GNU_SOURCE
#include "cu_stall.h"
#include "cupdraft.h"
#include "portable_threads.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
// The BSDs have it in a library of its own: the interrupted instruction is all that is told there.
#if defined(__linux__) && __has_include(<execinfo.h>)
#include <execinfo.h>
#define HAS_BACKTRACE 1
#endif

int32_t cu_thread_number(void) { return thread_number(); }

#if defined(THREAD_SIGNAL_CODE)
enum step { IDLE, REQUESTED, WRITING, DONE, STALE };
static struct {
    // A step, and above it the number of the thread that is asked: in one word, so that a signal
    // that comes late can't take the request that another thread has been sent meanwhile.
    _Atomic uint64_t state;
    struct cu_pulse *pulse;
    int64_t busy_since;
    struct cu_sample sample;
} request;
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "A signal handler can't take a lock.");
static sem_t answered;
static struct sigaction previous;

// What can be copied here only: the thread that it belongs to can't let go of it meanwhile.
static void take_names(struct cu_sample *sample, struct cu_pulse *pulse) {
    sample->names = __atomic_load_n(&pulse->names, __ATOMIC_RELAXED);
    sample->peer.length = 0;
    if ((sample->activity & 0xFF) == CU_ACTIVITY_DESCRIPTOR &&
        cu_peer_address((int)(sample->activity >> 8), &sample->peer) < 0)
        sample->peer.length = 0;
    const char *work = __atomic_load_n(&pulse->work, __ATOMIC_RELAXED);
    int length = 0;
    for (; work && work[length] != 0 && length < CU_SAMPLE_WORK - 1; length++)
        sample->work[length] = work[length];
    sample->work[length] = 0;
}

static void take(void *context) {
    struct cu_sample *sample = &request.sample;
    sample->activity = __atomic_load_n(&request.pulse->activity, __ATOMIC_RELAXED);
    sample->task = (uint64_t)(uintptr_t)cu_current_task();
    take_names(sample, request.pulse);
    sample->count = 0;
    uint64_t address = interrupted_address(context);
#if HAS_BACKTRACE
    void *frames[CU_SAMPLE_FRAMES];
    int count = backtrace(frames, CU_SAMPLE_FRAMES);
    // The handler's own frames come first.
    int first = 0;
    while (first < count && (uint64_t)(uintptr_t)frames[first] != address) first++;
    for (int i = first; i < count; i++)
        sample->frames[sample->count++] = (uint64_t)(uintptr_t)frames[i];
#endif
    if (sample->count == 0 && address != 0) sample->frames[sample->count++] = address;
}

static uint64_t state_of(int32_t thread, enum step step) {
    return (uint64_t)(uint32_t)thread << 8 | step;
}

static void on_request(int signal, siginfo_t *info, void *context) {
    int saved = errno;
    int32_t thread = cu_thread_number();
    uint64_t expected = state_of(thread, REQUESTED);
    if (atomic_compare_exchange_strong(&request.state, &expected, state_of(thread, WRITING))) {
        bool same = cu_pulse_busy_since(request.pulse) == request.busy_since;
        if (same) take(context);
        atomic_store(&request.state, state_of(thread, same ? DONE : STALE));
        sem_post(&answered);
    } else if (!(info->si_code == THREAD_SIGNAL_CODE && info->si_pid == getpid())) {
        // Somebody else's: out-of-band data, or a handler that was there before ours.
        if (previous.sa_flags & SA_SIGINFO) {
            if (previous.sa_sigaction) previous.sa_sigaction(signal, info, context);
        } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
            previous.sa_handler(signal);
        }
    }
    errno = saved;
}

int cu_sample_prepare(void) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool installed = false;
    int result = 0;
    (void)cu_current_task();
#if HAS_BACKTRACE
    void *frames[4];
    (void)backtrace(frames, 4);
#endif
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    pthread_mutex_lock(&lock);
    if (!installed) {
        struct sigaction action = {
            .sa_sigaction = on_request, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
        sigemptyset(&action.sa_mask);
        if (sem_init(&answered, 0, 0) < 0 || sigaction(SIGURG, &action, &previous) < 0) {
            result = -errno;
        } else {
            installed = true;
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static int await_answer(int64_t timeout) {
    struct timespec deadline = time_from_now(CLOCK_REALTIME, timeout);
    while (sem_timedwait(&answered, &deadline) < 0) {
        if (errno != EINTR) return -errno;
    }
    return 0;
}

static int take_sample(int32_t thread, struct cu_pulse *pulse, int64_t busy_since,
                       int64_t timeout, struct cu_sample *out) {
    request.pulse = pulse;
    request.busy_since = busy_since;
    uint64_t expected = state_of(thread, REQUESTED);
    atomic_store(&request.state, expected);
    int result = signal_thread(thread, SIGURG);
    if (result == 0) result = await_answer(timeout);
    if (result < 0) {
        if (atomic_compare_exchange_strong(&request.state, &expected, IDLE)) return result;
        // The handler has begun: its answer is a moment away.
        while (sem_wait(&answered) < 0 && errno == EINTR) {}
    }
    if (atomic_exchange(&request.state, IDLE) != state_of(thread, DONE)) return -ESTALE;
    *out = request.sample;
    return 0;
}

int cu_sample_take(int32_t thread, struct cu_pulse *pulse, int64_t busy_since, int64_t timeout,
                   struct cu_sample *out) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    int result = take_sample(thread, pulse, busy_since, timeout, out);
    pthread_mutex_unlock(&lock);
    return result;
}
#else
// Without a signal for the thread: what its loop tells of itself, and no stack.
int cu_sample_prepare(void) { return 0; }

int cu_sample_take(int32_t thread, struct cu_pulse *pulse, int64_t busy_since, int64_t timeout,
                   struct cu_sample *out) {
    (void)thread, (void)timeout;
    memset(out, 0, sizeof *out);
    out->activity = __atomic_load_n(&pulse->activity, __ATOMIC_RELAXED);
    return cu_pulse_busy_since(pulse) == busy_since ? 0 : -ESTALE;
}
#endif

// --- the monitor's clockwork ---
static pthread_mutex_t monitor_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t monitor_cond;
static pthread_once_t monitor_once = PTHREAD_ONCE_INIT;
static bool monitor_woken = false;

static void monitor_init(void) { init_monotonic(&monitor_cond); }

void cu_monitor_wait(int64_t nanoseconds) {
    pthread_once(&monitor_once, monitor_init);
    struct timespec deadline = {0, 0};
    if (nanoseconds >= 0) deadline = time_from_now(CLOCK_MONOTONIC, nanoseconds);
    pthread_mutex_lock(&monitor_lock);
    int result = 0;
    while (!monitor_woken && result != ETIMEDOUT) {
        result = nanoseconds < 0 ? pthread_cond_wait(&monitor_cond, &monitor_lock)
                                 : wait_until(&monitor_cond, &monitor_lock, &deadline);
    }
    monitor_woken = false;
    pthread_mutex_unlock(&monitor_lock);
}

void cu_monitor_wake(void) {
    pthread_once(&monitor_once, monitor_init);
    pthread_mutex_lock(&monitor_lock);
    monitor_woken = true;
    pthread_cond_signal(&monitor_cond);
    pthread_mutex_unlock(&monitor_lock);
}

void cu_monitor_kill(void) {
    signal(SIGALRM, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), SIGALRM);
}
