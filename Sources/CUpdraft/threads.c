#define _GNU_SOURCE
#include "cupdraft.h"
#include "portable_threads.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// --- signals: handler -> one byte into a pipe of each watching loop ---
#define SIGNALS 65
#define WATCHERS 1088 // one for each loop of a large program, and some

static _Atomic int watchers[SIGNALS][WATCHERS]; // descriptor + 1, 0 = free
static _Atomic int slots_used[SIGNALS];         // no watcher stands beyond
static _Atomic int keepers[SIGNALS];            // watchers that are for more than one signal
static _Atomic unsigned installs[SIGNALS];      // how often on_signal was put in place
static _Atomic int under_way[SIGNALS];          // runs of on_signal that have not ended
// Written while nobody watches, and read by handlers that have found a watcher: never at once.
static struct sigaction previous[SIGNALS];
static int counts[SIGNALS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void on_signal(int signal);

static int install(int signal) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    atomic_fetch_add(&installs[signal], 1);
    return sigaction(signal, &action, NULL) < 0 ? -errno : 0;
}

static void on_signal(int signal) {
    int saved = errno;
    // Before the first look at a watcher; see wait_for_handlers.
    atomic_fetch_add(&under_way[signal], 1);
    unsigned seen = atomic_load(&installs[signal]);
    unsigned char byte = (unsigned char)signal;
    bool is_watched = false;
    for (int i = 0; i < atomic_load(&slots_used[signal]); i++) {
        int fd = atomic_load(&watchers[signal][i]) - 1;
        if (fd < 0) continue;
        is_watched = true;
        // A full pipe already holds a wake-up for this loop.
        if (write(fd, &byte, 1) < 0) continue;
    }
    // Here and not on the loops: one that is blocked would swallow the second signal too. Not for
    // a signal that comes too late for the last watcher: a next one may have arrived meanwhile.
    if (is_watched && atomic_load(&keepers[signal]) == 0) {
        sigaction(signal, &previous[signal], NULL);
        // A watcher that came in between must not lose its handler to this.
        if (atomic_load(&installs[signal]) != seen) install(signal);
    }
    atomic_fetch_sub(&under_way[signal], 1);
    errno = saved;
}

// A handler may have read a descriptor that its owner closes next, and that is somebody else's
// then. With the slot cleared first, a handler that is not counted yet no longer finds it. A
// handler takes no lock and never blocks, so that it ends whichever thread it has interrupted.
static void wait_for_handlers(int signal) {
    while (atomic_load(&under_way[signal]) != 0) sched_yield();
}

static int take_slot(int signal, int fd) {
    for (int i = 0; i < WATCHERS; i++) {
        int none = 0;
        if (!atomic_compare_exchange_strong(&watchers[signal][i], &none, fd + 1)) continue;
        if (i >= atomic_load(&slots_used[signal])) atomic_store(&slots_used[signal], i + 1);
        return 0;
    }
    return -ENOSPC;
}

static int free_slot(int signal, int fd) {
    for (int i = 0; i < WATCHERS; i++) {
        int mine = fd + 1;
        if (!atomic_compare_exchange_strong(&watchers[signal][i], &mine, 0)) continue;
        wait_for_handlers(signal);
        return 0;
    }
    return -ENOENT;
}

int cu_signal_watch(int signal, int fd, bool once) {
    if (signal <= 0 || signal >= SIGNALS) return -EINVAL;
    pthread_mutex_lock(&lock);
    // Before the slot is taken: a handler that finds a watcher may need it.
    if (counts[signal] == 0) sigaction(signal, NULL, &previous[signal]);
    if (!once) atomic_fetch_add(&keepers[signal], 1);
    int result = take_slot(signal, fd);
    if (result == 0) {
        // Again with each watcher: after a signal that was for `once` watchers only, the handler
        // is gone.
        result = install(signal);
        if (result < 0) free_slot(signal, fd);
    }
    if (result == 0) counts[signal]++;
    if (result < 0 && !once) atomic_fetch_sub(&keepers[signal], 1);
    pthread_mutex_unlock(&lock);
    return result;
}

int cu_signal_unwatch(int signal, int fd, bool once) {
    if (signal <= 0 || signal >= SIGNALS) return -EINVAL;
    pthread_mutex_lock(&lock);
    int result = free_slot(signal, fd);
    if (result == 0 && !once) atomic_fetch_sub(&keepers[signal], 1);
    if (result == 0 && --counts[signal] == 0) sigaction(signal, &previous[signal], NULL);
    pthread_mutex_unlock(&lock);
    return result;
}

int cu_signal_raise(int signal) { return kill(getpid(), signal) < 0 ? -errno : 0; }

// --- libdispatch's main queue ---
#if defined(__linux__)
// Looked up weakly: these two are not in its public headers.
extern int _dispatch_get_main_queue_handle_4CF(void) __attribute__((weak));
extern void _dispatch_main_queue_callback_4CF(void *) __attribute__((weak));

int cu_main_queue_descriptor(void) {
    if (!_dispatch_get_main_queue_handle_4CF || !_dispatch_main_queue_callback_4CF) return -1;
    return _dispatch_get_main_queue_handle_4CF();
}

void cu_main_queue_drain(void) {
    if (_dispatch_main_queue_callback_4CF) _dispatch_main_queue_callback_4CF(NULL);
}
#else
// What stands for the queue is no descriptor: on Darwin a port, on the BSDs both ends of a pipe.
int cu_main_queue_descriptor(void) { return -1; }
void cu_main_queue_drain(void) {}
#endif

bool cu_is_main_thread(void) { return is_main_thread(); }

// --- threads ---
struct start {
    void (*body)(void *);
    void *context;
    char name[16];
};

static void *run(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    name_this_thread(start.name);
    start.body(start.context);
    return NULL;
}

int cu_thread_start(void (*body)(void *), void *context, const char *name, uint64_t *handle) {
    struct start *start = calloc(1, sizeof *start);
    if (!start) return -ENOMEM;
    start->body = body;
    start->context = context;
    strncpy(start->name, name, sizeof start->name - 1);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, start);
    if (error != 0) {
        free(start);
        return -error;
    }
    *handle = (uint64_t)thread;
    return 0;
}

int cu_thread_join(uint64_t handle) { return -pthread_join((pthread_t)handle, NULL); }
void cu_thread_detach(uint64_t handle) { pthread_detach((pthread_t)handle); }
uint64_t cu_thread_self(void) { return (uint64_t)pthread_self(); }
int32_t cu_process_id(void) { return (int32_t)getpid(); }

int cu_processors(void) {
#if defined(CPU_COUNT)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

// --- tasks ---
// Exported by the concurrency runtime and called by all compiled async code.
extern __attribute__((swiftcall)) void *swift_task_getCurrent(void);
void *cu_current_task(void) { return swift_task_getCurrent(); }
