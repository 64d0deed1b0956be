// A delimiter at the end of 4 MiB, from a peer that sends each piece by itself: what
// Sources/updraft-bench/ReadBench.swift does over a socket, by epoll and nothing else; and from the
// same thread, which sends a piece before it waits, so that each piece comes by itself. One recv for
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
    size_t piece, sent;
    int fd;
    char *bytes;
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void connect_peer(struct peer *peer) {
    int one = 1;
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(peer->fd, (struct sockaddr *)&peer->address, sizeof peer->address)) fail("connect");
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    peer->bytes = malloc(size);
    memset(peer->bytes, 'x', size);
    memcpy(peer->bytes + size - 4, "\r\n\r\n", 4);
}

static void send_piece(struct peer *peer, int flags) {
    size_t rest = size - peer->sent, count = rest < peer->piece ? rest : peer->piece;
    ssize_t n = send(peer->fd, peer->bytes + peer->sent, count, MSG_NOSIGNAL | flags);
    if (n < 0 && errno != EAGAIN) fail("send");
    if (n > 0) peer->sent = (peer->sent + (size_t)n) % size;
}

static void *pour(void *argument) {
    struct peer *peer = argument;
    for (int64_t i = 0; i < peer->count; i++) {
        do send_piece(peer, 0);
        while (peer->sent > 0);
    }
    return NULL;
}

// One message. How many times it waited.
static int64_t read_message(int epoll, int fd, char *scratch, struct peer *paced) {
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
        int is_readable = 0;
        while (!is_readable) {
            struct epoll_event events[512];
            waits++;
            int count = epoll_wait(epoll, events, 512, -1);
            if (count < 0 && errno != EINTR) fail("epoll_wait");
            for (int i = 0; i < count; i++) {
                if (events[i].data.fd == fd)
                    is_readable |= events[i].events & EPOLLIN;
                else
                    send_piece(paced, MSG_DONTWAIT);
            }
        }
    }
    if (length != size) fail("another length");
    free(message);
    return waits;
}

static void measure(const char *form, int64_t count, size_t piece, int is_paced) {
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
    connect_peer(&peer);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), epoll = epoll_create1(0);
    struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.fd = fd}};
    if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("accept");
    pthread_t thread;
    if (is_paced) {
        struct epoll_event writable = {EPOLLOUT, {.fd = peer.fd}};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, peer.fd, &writable)) fail("epoll_ctl");
    } else if (pthread_create(&thread, NULL, pour, &peer)) {
        fail("pthread_create");
    }
    char *scratch = malloc(chunk);
    int64_t waits = 0;
    struct times start = times_of(RUSAGE_THREAD);
    for (int64_t i = 0; i < count; i++) waits += read_message(epoll, fd, scratch, &peer);
    struct times end = times_of(RUSAGE_THREAD);
    char name[32];
    snprintf(name, sizeof name, "%s-by-%zu", form, piece);
    print_times("epoll", name, count, start, end);
    printf(" %.1f\n", (double)waits / count);
    if (!is_paced) pthread_join(thread, NULL);
    free(scratch);
    free(peer.bytes);
    close(peer.fd);
    close(fd);
    close(epoll);
    close(listener);
}

int main(int argc, char **argv) {
    int64_t count = argc > 1 ? atoll(argv[1]) : 20;
    const size_t pieces[] = {1024, 16384, size};
    for (int i = 0; i < 3; i++) measure("socket", count, pieces[i], 0);
    for (int i = 0; i < 3; i++) measure("paced", count, pieces[i], 1);
    return 0;
}
