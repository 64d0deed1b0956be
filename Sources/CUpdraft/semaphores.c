#define _GNU_SOURCE
#include "cupdraft.h"

#include <stdlib.h>

#if defined(__APPLE__)
// Darwin's sem_init refuses every semaphore without a name.
#include <dispatch/dispatch.h>

void *cu_semaphore_create(void) { return dispatch_semaphore_create(0); }
void cu_semaphore_post(void *semaphore) { dispatch_semaphore_signal(semaphore); }
void cu_semaphore_wait(void *semaphore) {
    dispatch_semaphore_wait(semaphore, DISPATCH_TIME_FOREVER);
}
void cu_semaphore_destroy(void *semaphore) { dispatch_release(semaphore); }
#else
#include <errno.h>
#include <semaphore.h>

void *cu_semaphore_create(void) {
    sem_t *semaphore = malloc(sizeof *semaphore);
    if (semaphore && sem_init(semaphore, 0, 0) == 0) return semaphore;
    free(semaphore);
    return NULL;
}
void cu_semaphore_post(void *semaphore) { sem_post(semaphore); }
void cu_semaphore_wait(void *semaphore) {
    while (sem_wait(semaphore) < 0 && errno == EINTR) {}
}
void cu_semaphore_destroy(void *semaphore) {
    sem_destroy(semaphore);
    free(semaphore);
}
#endif
