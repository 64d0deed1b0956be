// Whether anything is bound to the running task's locals: something that the language does not
// tell. It is read where the concurrency runtime keeps it, which is private to the runtime; hence
// nothing here is believed before `cu_locals_trust`, whose caller has tried it out. See
// Sources/Updraft/Loop/TaskLocals.swift.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A task has a list of its bindings, the newest first. The word of the task that begins it, and
// the words of an item: the next one, with what kind of item this is in the lowest bits (0 for an
// ordinary binding), and the TaskLocal object. The value comes after a third word.
enum {
    CU_LOCALS_HEAD = 17,
    CU_LOCALS_NEXT = 0,
    CU_LOCALS_KEY = 1,
    CU_LOCALS_VALUE = 3,
    CU_LOCALS_KIND_BITS = 7,
    CU_LOCALS_ITEMS_MAX = 8,
};

// The one TaskLocal that does not count; NULL as long as the layout is not known.
extern const void *cu_locals_own_key;

// From here on `cu_has_no_locals` may look; with NULL, no longer. From any thread.
static inline void cu_locals_trust(const void *own_key) {
    __atomic_store_n(&cu_locals_own_key, own_key, __ATOMIC_RELAXED);
}

static inline bool cu_locals_are_trusted(void) {
    return __atomic_load_n(&cu_locals_own_key, __ATOMIC_RELAXED) != NULL;
}

// Whether nothing but the one that does not count is bound in the running task. False says nothing:
// in a child task, or where the layout is not known, it is always false.
static inline bool cu_has_no_locals(const void *task) {
    const void *own = __atomic_load_n(&cu_locals_own_key, __ATOMIC_RELAXED);
    if (!own) return false;
    uintptr_t item = ((const uintptr_t *)task)[CU_LOCALS_HEAD];
    for (int count = 0; item && count < CU_LOCALS_ITEMS_MAX; count++) {
        const uintptr_t *words = (const uintptr_t *)item;
        uintptr_t next = words[CU_LOCALS_NEXT];
        // The kind first: an item of another kind may end before the key.
        if (next & CU_LOCALS_KIND_BITS || words[CU_LOCALS_KEY] != (uintptr_t)own) return false;
        item = next;
    }
    return item == 0;
}

// For trying it out. The runtime says that it is the one this was written for.
bool cu_locals_are_of_known_version(void);
// The word that should begin the list, as it is.
uintptr_t cu_locals_head(const void *task);
// Whether that word is the address of the newest binding, which is of `key`, by what the runtime
// itself says about where the value lies; and if so, whether the item looks as said above. Reads
// through the word only if it can be nothing else.
bool cu_locals_head_is(const void *task, const void *key, uintptr_t next);
