#include "cupdraft.h"

#include <stdlib.h>

void *cu_allocate(size_t size) {
    void *memory = malloc(size);
    if (!memory) abort();
    return memory;
}

void cu_free(void *memory) {
    free(memory);
}
