// The same source as in CUpdraft, against the stand-in.
#define _GNU_SOURCE
#define CU_KEVENT_HEADER "event.h"
#define cu_kqueue_system cu_kqueue_stand_in
#include "../../Sources/CUpdraft/kqueue.c"
