// The same source as in CUpdraft, against the stand-in.
#define _GNU_SOURCE
#define CU_KEVENT_HEADER "event.h"
#define cu_kqueue_system cu_kqueue_stand_in
#include "../../Sources/CUpdraft/kqueue.c"

#include "include/kevent_stand_in.h"

// Swift has nothing that runs by itself when a module is loaded.
__attribute__((constructor)) static void tests_will_begin(void) { updraft_tests_will_begin(); }
