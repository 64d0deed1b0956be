#include "cupdraft.h"

#include <stdatomic.h>
#include <stdlib.h>

void *cu_allocate(size_t size) {
    void *memory = malloc(size);
    if (!memory) abort();
    return memory;
}

void cu_free(void *memory) {
    free(memory);
}

void cu_keep_freed_memory(void) {
#if defined(__GLIBC__)
    static atomic_flag is_done = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&is_done)) return;
    // Volatile, since compilers leave out an allocation of which nothing is made.
    void *volatile block = malloc((size_t)1 << 20);
    free(block);
#endif
}
