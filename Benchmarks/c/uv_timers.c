// libuv's timers under the operations of Sources/updraft-bench/TimerBench.swift.
// Usage: uv_timers [COUNT]
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "bench.h"

struct session {
    int64_t fired;
};

static void expire(uv_timer_t *timer) {
    struct session *session = timer->data;
    session->fired++;
}

static void shuffle(uv_timer_t **timers, int64_t count, uint64_t *random) {
    for (int64_t last = count - 1; last > 0; last--) {
        int64_t other = split_mix(random) % (last + 1);
        uv_timer_t *timer = timers[last];
        timers[last] = timers[other];
        timers[other] = timer;
    }
}

int main(int argc, char **argv) {
    int64_t count = argc > 1 ? atoll(argv[1]) : 1000000;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct session session = {0};
    // One array is the best case: timers mostly stand in sessions of their own.
    uv_timer_t *handles = calloc(count, sizeof *handles);
    uv_timer_t **timers = calloc(count, sizeof *timers);
    uint64_t *delays = calloc(count, sizeof *delays);
    uint64_t random = 1;
    for (int64_t i = 0; i < count; i++) {
        delays[i] = split_mix(&random) % 1000 + 1;
        timers[i] = &handles[i];
    }
    random = 2;

    struct times start = times_now();
    for (int64_t i = 0; i < count; i++) {
        uv_timer_init(&loop, timers[i]);
        timers[i]->data = &session;
        uv_timer_start(timers[i], expire, delays[i], 0);
    }
    report("add", count, start);

    shuffle(timers, count, &random);
    start = times_now();
    for (int64_t i = 0; i < count; i++) {
        uv_timer_stop(timers[i]);
        uv_timer_start(timers[i], expire, delays[i], 0);
    }
    report("cancel+add", count, start);

    shuffle(timers, count, &random);
    start = times_now();
    for (int64_t i = 0; i < count; i++) uv_timer_stop(timers[i]);
    report("cancel", count, start);

    uv_update_time(&loop);
    for (int64_t i = 0; i < count; i++) uv_timer_start(timers[i], expire, delays[i], 0);
    usleep(1100 * 1000);
    start = times_now();
    uv_run(&loop, UV_RUN_NOWAIT);
    report("fire", session.fired, start);
    return session.fired == count ? 0 : 1;
}
