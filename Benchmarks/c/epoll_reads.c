// A delimiter at the end of 4 MiB, from a peer that sends each piece by itself: what
// Sources/updraft-bench/ReadBench.swift does over a socket, by epoll and nothing else. One recv for
// each event, edge-triggered, and no byte is looked at twice.
// Usage: epoll_reads [COUNT]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { size = 4194304, chunk = 65536 };

struct peer {
    struct sockaddr_in address;
    int64_t count;
    size_t piece;
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void *pour(void *argument) {
    const struct peer *peer = argument;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)&peer->address, sizeof peer->address)) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    char *bytes = malloc(size);
    memset(bytes, 'x', size);
    memcpy(bytes + size - 4, "\r\n\r\n", 4);
    for (int64_t i = 0; i < peer->count; i++) {
        for (size_t sent = 0; sent < size;) {
            size_t rest = size - sent;
            ssize_t n = send(fd, bytes + sent, rest < peer->piece ? rest : peer->piece, MSG_NOSIGNAL);
            if (n <= 0) fail("send");
            sent += (size_t)n;
        }
    }
    free(bytes);
    close(fd);
    return NULL;
}

// One message. How many times it waited.
static int64_t read_message(int epoll, int fd, char *scratch) {
    size_t length = 0, capacity = 0, looked_at = 0;
    char *message = NULL;
    int64_t waits = 0;
    while (1) {
        // The next message follows at once; what belongs to it stays in the kernel.
        size_t room = size - length < chunk ? size - length : chunk;
        ssize_t n = recv(fd, scratch, room, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) fail("recv");
        if (n > 0) {
            if (length + (size_t)n > capacity) {
                capacity = 2 * (length + (size_t)n);
                message = realloc(message, capacity);
                if (!message) fail("realloc");
            }
            memcpy(message + length, scratch, (size_t)n);
            length += (size_t)n;
            size_t from = looked_at > 3 ? looked_at - 3 : 0;
            if (memmem(message + from, length - from, "\r\n\r\n", 4)) break;
            looked_at = length;
        }
        if (n == (ssize_t)room) continue;
        struct epoll_event events[512];
        waits++;
        if (epoll_wait(epoll, events, 512, -1) < 0 && errno != EINTR) fail("epoll_wait");
    }
    if (length != size) fail("another length");
    free(message);
    return waits;
}

static void measure(int64_t count, size_t piece) {
    struct peer peer = {
        .address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
        .count = count,
        .piece = piece,
    };
    socklen_t length = sizeof peer.address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&peer.address, length) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&peer.address, &length))
        fail("listen");
    pthread_t thread;
    if (pthread_create(&thread, NULL, pour, &peer)) fail("pthread_create");
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("accept");
    char *scratch = malloc(chunk);
    int64_t waits = 0;
    struct times start = times_of(RUSAGE_THREAD);
    for (int64_t i = 0; i < count; i++) waits += read_message(epoll, fd, scratch);
    char name[32];
    snprintf(name, sizeof name, "socket-by-%zu", piece);
    struct times end = times_of(RUSAGE_THREAD);
    print_times("epoll", name, count, start, end);
    printf(" %.1f\n", (double)waits / count);
    free(scratch);
    pthread_join(thread, NULL);
    close(fd);
    close(epoll);
    close(listener);
}

int main(int argc, char **argv) {
    int64_t count = argc > 1 ? atoll(argv[1]) : 20;
    measure(count, 1024);
    measure(count, 16384);
    measure(count, size);
    return 0;
}
