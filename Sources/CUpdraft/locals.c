#include "cupdraft.h"

const void *cu_locals_own_key = NULL;

// Exported by the concurrency runtime: a version for debuggers, the size of a task, and what
// TaskLocal.get calls (where the value of the newest binding lies, or NULL).
extern uint32_t _swift_concurrency_debug_internal_layout_version __attribute__((weak));
extern const size_t _swift_concurrency_debug_asyncTaskSize __attribute__((weak));
extern __attribute__((swiftcall)) void *swift_task_localValueGet(const void *key);

bool cu_locals_are_of_known_version(void) {
    return sizeof(void *) == 8 && &_swift_concurrency_debug_internal_layout_version != NULL &&
        _swift_concurrency_debug_internal_layout_version == 1 &&
        &_swift_concurrency_debug_asyncTaskSize != NULL &&
        _swift_concurrency_debug_asyncTaskSize >= (CU_LOCALS_HEAD + 1) * sizeof(uintptr_t);
}

uintptr_t cu_locals_head(const void *task) { return ((const uintptr_t *)task)[CU_LOCALS_HEAD]; }

bool cu_locals_head_is(const void *task, const void *key, uintptr_t next) {
    const uintptr_t *value = swift_task_localValueGet(key);
    if (!value || cu_locals_head(task) != (uintptr_t)(value - CU_LOCALS_VALUE)) return false;
    const uintptr_t *item = value - CU_LOCALS_VALUE;
    return item[CU_LOCALS_KEY] == (uintptr_t)key && item[CU_LOCALS_NEXT] == next;
}
