#include "test_memory.h"

#include <stdatomic.h>
#include <stdlib.h>

#if defined(__GLIBC__)
#include <malloc.h>

// What this thread has freed, a few pieces of each small size are kept for it and count as
// allocated. Here they come to be as many each time.
static void fill_thread_cache(void) {
    enum { sizes = 64, pieces = 7, step = 2 * sizeof(size_t) };
    for (size_t size = step; size <= sizes * step; size += step) {
        void *volatile kept[pieces];
        for (int i = 0; i < pieces; i++) kept[i] = malloc(size);
        for (int i = 0; i < pieces; i++) free(kept[i]);
    }
}
#endif

size_t tm_allocated_bytes(void) {
#if defined(__GLIBC__)
    fill_thread_cache();
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

// The Swift runtime's.
extern _Atomic(void *) _swift_willThrow __attribute__((weak));
extern _Atomic(void *) _swift_willThrowTypedImpl __attribute__((weak));

struct tm_throw_hooks tm_take_throw_hooks(void) {
    struct tm_throw_hooks hooks = {NULL, NULL};
    if (&_swift_willThrow) hooks.untyped = atomic_exchange(&_swift_willThrow, NULL);
    if (&_swift_willThrowTypedImpl) hooks.typed = atomic_exchange(&_swift_willThrowTypedImpl, NULL);
    return hooks;
}

void tm_restore_throw_hooks(struct tm_throw_hooks hooks) {
    if (&_swift_willThrow) atomic_store(&_swift_willThrow, hooks.untyped);
    if (&_swift_willThrowTypedImpl) atomic_store(&_swift_willThrowTypedImpl, hooks.typed);
}
