// Callbacks from other threads through libuv, as in Sources/updraft-bench/AsyncBench.swift.
// uv_async_send carries nothing and coalesces, so its users keep a queue behind a mutex.
// Usage: uv_async [COUNT]
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

#include "bench.h"
#include "processors.h"

struct item {
    void (*run)(void *);
    void *argument;
    struct item *next;
};

static uv_loop_t loop;
static uv_async_t async;
static uv_mutex_t mutex;
static struct item *first, **last = &first;
static int64_t rounds, each, left;
static sem_t answer;

static int processors[2];
static bool are_two;

// As in Sources/updraft-bench/Threads.swift.
static void stay(int number) {
    if (are_two) stay_on_processor(processors[number]);
}

static void post(void (*run)(void *), void *argument) {
    struct item *item = malloc(sizeof *item);
    *item = (struct item){run, argument, NULL};
    uv_mutex_lock(&mutex);
    *last = item;
    last = &item->next;
    uv_mutex_unlock(&mutex);
    uv_async_send(&async);
}

static void deliver(uv_async_t *handle) {
    (void)handle;
    uv_mutex_lock(&mutex);
    struct item *item = first;
    first = NULL;
    last = &first;
    uv_mutex_unlock(&mutex);
    while (item) {
        struct item *next = item->next;
        item->run(item->argument);
        free(item);
        item = next;
    }
}

static void give(void *argument) {
    sem_post(argument);
}

static void stop(void *argument) {
    uv_stop(argument);
}

static void arrived(void *argument) {
    if (--left == 0) uv_stop(argument);
}

static void ping(void *argument) {
    (void)argument;
    stay(1);
    for (int64_t i = 0; i < rounds; i++) {
        post(give, &answer);
        while (sem_wait(&answer)) {
        }
    }
    post(stop, &loop);
}

static void pour(void *argument) {
    (void)argument;
    stay(1);
    for (int64_t i = 0; i < each; i++) post(arrived, &loop);
}

static void burst(const char *name, int64_t count, int thread_count) {
    uv_thread_t threads[2];
    left = count;
    each = count / thread_count;
    struct times start = times_now();
    for (int i = 0; i < thread_count; i++) uv_thread_create(&threads[i], pour, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    report(name, count, start);
    for (int i = 0; i < thread_count; i++) uv_thread_join(&threads[i]);
}

int main(int argc, char **argv) {
    int64_t count = argc > 1 ? atoll(argv[1]) : 200000;
    are_two = two_processors(processors);
    stay(0);
    uv_loop_init(&loop);
    uv_mutex_init(&mutex);
    uv_async_init(&loop, &async, deliver);
    sem_init(&answer, 0, 0);

    rounds = count / 10;
    uv_thread_t thread;
    struct times start = times_now();
    uv_thread_create(&thread, ping, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_thread_join(&thread);
    report("ping-pong", rounds, start);

    burst("burst-1", count, 1);
    burst("burst-2", count, 2);
    return 0;
}
