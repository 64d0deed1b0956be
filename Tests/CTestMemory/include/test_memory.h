#ifndef TEST_MEMORY_H
#define TEST_MEMORY_H

#include <stddef.h>

// Bytes that this process has allocated and not freed; 0 where the C library can't tell.
size_t tm_allocated_bytes(void);

#endif
