#ifndef TEST_MEMORY_H
#define TEST_MEMORY_H

#include <stddef.h>

// Bytes that this process has allocated and not freed; 0 where the C library can't tell.
size_t tm_allocated_bytes(void);

// Who is told of errors that Swift code throws. The testing library keeps a trace of each up to
// the end of the test, which a test that counts memory would find.
struct tm_throw_hooks {
    void *untyped;
    void *typed;
};

// Takes the hooks away, until they are given back.
struct tm_throw_hooks tm_take_throw_hooks(void);
void tm_restore_throw_hooks(struct tm_throw_hooks hooks);

#endif
