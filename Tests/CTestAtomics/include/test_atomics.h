#ifndef TEST_ATOMICS_H
#define TEST_ATOMICS_H

#include <stdbool.h>
#include <stddef.h>

// Counts what the calling thread does, instruction by instruction, whosever code it is: the
// processor stops after each one (x86-64's trap flag). So nothing atomic can be overlooked, in
// whatever library it stands.

enum { TA_PLACES_MAX = 512 };

struct ta_counts {
    // Instructions in all.
    size_t instructions;
    // Instructions that lock memory: with the prefix `lock`, or `xchg` with memory.
    size_t atomics;
    // Calls of the runtime that count one reference or several to an object.
    size_t retains, releases;
    // Where the first atomics stood, and who had called the function that they stood in, as far as
    // it keeps frame pointers.
    void *places[TA_PLACES_MAX], *callers[TA_PLACES_MAX];
};

// Whether this system and processor can count.
bool ta_can_count(void);

// Begins to count on the calling thread; one thread at a time.
void ta_begin(void);

// Ends what ta_begin began, on the same thread. What the two calls do themselves is counted in
// part: the same each time.
struct ta_counts ta_end(void);

// One atomic instruction, to see that it is counted.
void ta_add_atomically(int *number);

// Writes what stands at an address into buffer: a function's name if it is known, the file, and the
// address as the file's own symbols have it.
void ta_place(const void *address, char *buffer, size_t size);

#endif
