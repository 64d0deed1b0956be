#if defined(__linux__)
#define _GNU_SOURCE
#endif

#include "test_atomics.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void ta_add_atomically(int *number) { __atomic_fetch_add(number, 1, __ATOMIC_SEQ_CST); }

void ta_place(const void *address, char *buffer, size_t size) {
    Dl_info info;
    if (dladdr(address, &info) == 0) {
        snprintf(buffer, size, "%p", address);
        return;
    }
    const char *file = strrchr(info.dli_fname, '/');
    snprintf(
        buffer, size, "%s at %s:%#lx", info.dli_sname ? info.dli_sname : "",
        file ? file + 1 : info.dli_fname,
        (unsigned long)((uintptr_t)address - (uintptr_t)info.dli_fbase));
}

#if defined(__linux__) && defined(__x86_64__)

#include <pthread.h>
#include <signal.h>
#include <ucontext.h>

// Held while a thread counts: the handler is the process's.
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;
static struct ta_counts counts;
static struct sigaction previous;

struct entries {
    const char *names[10];
    uintptr_t addresses[10];
};

static struct entries retains = {
    {"swift_retain", "swift_retain_n", "swift_tryRetain", "swift_unownedRetain",
     "swift_unownedRetain_n", "swift_unownedRetainStrong", "swift_weakLoadStrong",
     "swift_bridgeObjectRetain", "swift_bridgeObjectRetain_n", NULL},
    {0}};
static struct entries releases = {
    {"swift_release", "swift_release_n", "swift_unownedRelease", "swift_unownedRelease_n",
     "swift_unownedRetainStrongAndRelease", "swift_bridgeObjectRelease",
     "swift_bridgeObjectRelease_n", NULL},
    {0}};

static void find(struct entries *entries) {
    for (int i = 0; entries->names[i]; i++)
        entries->addresses[i] = (uintptr_t)dlsym(RTLD_DEFAULT, entries->names[i]);
}

static bool stands_in(const struct entries *entries, uintptr_t address) {
    for (int i = 0; entries->names[i]; i++)
        if (entries->addresses[i] == address) return true;
    return false;
}

static bool is_atomic(const uint8_t *code) {
    for (;; code++) {
        switch (*code) {
        case 0xF0: return true;
        case 0x66: case 0x67: case 0xF2: case 0xF3:
        case 0x2E: case 0x36: case 0x3E: case 0x26: case 0x64: case 0x65: continue;
        default: break;
        }
        break;
    }
    if ((*code & 0xF0) == 0x40) code++;
    return (*code == 0x86 || *code == 0x87) && (code[1] & 0xC0) != 0xC0;
}

// Runs before each instruction that is counted.
static void on_step(int signal, siginfo_t *info, void *raw) {
    (void)signal;
    (void)info;
    greg_t *registers = ((ucontext_t *)raw)->uc_mcontext.gregs;
    uintptr_t at = (uintptr_t)registers[REG_RIP];
    counts.instructions++;
    // Their first argument is the object; for none they do nothing.
    if (registers[REG_RDI] != 0) {
        if (stands_in(&retains, at)) counts.retains++;
        if (stands_in(&releases, at)) counts.releases++;
    }
    if (!is_atomic((const uint8_t *)at)) return;
    if (counts.atomics < TA_PLACES_MAX) {
        uintptr_t frame = (uintptr_t)registers[REG_RBP], stack = (uintptr_t)registers[REG_RSP];
        counts.places[counts.atomics] = (void *)at;
        if (frame >= stack && frame - stack < 4096)
            counts.callers[counts.atomics] = ((void **)frame)[1];
    }
    counts.atomics++;
}

bool ta_can_count(void) { return true; }

// In one place, so that what follows the flag's change is the same each time.
static inline __attribute__((always_inline)) void set_trap_flag(bool on) {
    // The red zone below the stack pointer may be in use.
    if (on)
        __asm__ volatile(
            "lea -128(%%rsp), %%rsp\n pushfq\n orq $0x100, (%%rsp)\n popfq\n"
            "lea 128(%%rsp), %%rsp\n" ::: "memory", "cc");
    else
        __asm__ volatile(
            "lea -128(%%rsp), %%rsp\n pushfq\n andq $~0x100, (%%rsp)\n popfq\n"
            "lea 128(%%rsp), %%rsp\n" ::: "memory", "cc");
}

__attribute__((noinline)) void ta_begin(void) {
    pthread_mutex_lock(&counting);
    find(&retains);
    find(&releases);
    memset(&counts, 0, sizeof counts);
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTRAP, &action, &previous);
    set_trap_flag(true);
}

__attribute__((noinline)) struct ta_counts ta_end(void) {
    set_trap_flag(false);
    sigaction(SIGTRAP, &previous, NULL);
    struct ta_counts result = counts;
    pthread_mutex_unlock(&counting);
    return result;
}

#else

bool ta_can_count(void) { return false; }
void ta_begin(void) {}
struct ta_counts ta_end(void) { return (struct ta_counts){0}; }

#endif
