// The figures and numbers of Sources/updraft-bench/Timing.swift, in C.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

struct times {
    double user, system, wall;
};

static inline struct times times_of(int who) {
    struct rusage usage;
    getrusage(who, &usage);
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (struct times){
        .user = usage.ru_utime.tv_sec * 1e9 + usage.ru_utime.tv_usec * 1e3,
        .system = usage.ru_stime.tv_sec * 1e9 + usage.ru_stime.tv_usec * 1e3,
        .wall = time.tv_sec * 1e9 + time.tv_nsec,
    };
}

static inline struct times times_now(void) { return times_of(RUSAGE_SELF); }

static inline void print_times(const char *who, const char *what, int64_t count, struct times start,
                               struct times end) {
    printf("%s %s %.1f %.1f %.1f", who, what, (end.user - start.user) / count,
           (end.system - start.system) / count, (end.wall - start.wall) / count);
}

static inline void report(const char *what, int64_t count, struct times start) {
    print_times("libuv", what, count, start, times_now());
    printf("\n");
}

// SplitMix64.
static inline uint64_t split_mix(uint64_t *state) {
    uint64_t mixed = *state += 0x9E3779B97F4A7C15;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
    return mixed ^ (mixed >> 31);
}
