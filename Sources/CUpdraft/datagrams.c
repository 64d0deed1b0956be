#define _GNU_SOURCE
#include "portable.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int cu_socket_datagram(const struct cu_address *address, bool reuse_port) {
    int family = address->storage.ss_family, one = 1;
    int fd = new_socket(family, SOCK_DGRAM);
    if (fd < 0) return fd;
    int failed = 0;
    if (reuse_port) failed = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0;
    if (!failed && family == AF_INET6)
        failed = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) < 0;
    if (!failed)
        failed = bind(fd, (const struct sockaddr *)&address->storage, address->length) < 0;
    if (!failed) return fd;
    int error = errno;
    close(fd);
    return -error;
}

int cu_set_broadcast(int fd, bool on) {
    int value = on;
    return setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &value, sizeof value) < 0 ? -errno : 0;
}

int cu_set_receive_buffer(int fd, int bytes) {
    return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) < 0 ? -errno : 0;
}

// One system call for many messages where the system has it, else one for each. How many, from the
// first on; an error only if there was none before it.
#ifdef __linux__
typedef struct mmsghdr message;

static int receive_messages(int fd, message *list, int count) {
    int n;
    do n = recvmmsg(fd, list, (unsigned)count, 0, NULL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int send_messages(int fd, message *list, int count) {
    int n;
    do n = sendmmsg(fd, list, (unsigned)count, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}
#else
typedef struct {
    struct msghdr msg_hdr;
    unsigned msg_len;
} message;

static int receive_messages(int fd, message *list, int count) {
    for (int i = 0; i < count; i++) {
        ssize_t n;
        do n = recvmsg(fd, &list[i].msg_hdr, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0) return i > 0 ? i : -errno;
        list[i].msg_len = (unsigned)n;
    }
    return count;
}

static int send_messages(int fd, message *list, int count) {
    for (int i = 0; i < count; i++) {
        ssize_t n;
        do n = sendmsg(fd, &list[i].msg_hdr, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n < 0) return i > 0 ? i : -errno;
    }
    return count;
}
#endif

int cu_receive_datagrams(int fd, void *buffer, size_t slot_size, struct cu_datagram *out,
                         int count) {
    if (count > CU_DATAGRAMS_MAX) count = CU_DATAGRAMS_MAX;
    message messages[CU_DATAGRAMS_MAX];
    struct iovec pieces[CU_DATAGRAMS_MAX];
    memset(messages, 0, sizeof messages[0] * (size_t)count);
    for (int i = 0; i < count; i++) {
        pieces[i] = (struct iovec){.iov_base = (char *)buffer + slot_size * (size_t)i,
                                   .iov_len = slot_size};
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &out[i].address.storage;
        messages[i].msg_hdr.msg_namelen = sizeof out[i].address.storage;
    }
    int n = receive_messages(fd, messages, count);
    for (int i = 0; i < n; i++) {
        out[i].length = messages[i].msg_len;
        out[i].is_truncated = (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        out[i].address.length = messages[i].msg_hdr.msg_namelen;
    }
    return n;
}

int cu_send_datagrams(int fd, const void *buffer, const struct cu_datagram *list, int count) {
    if (count > CU_DATAGRAMS_MAX) count = CU_DATAGRAMS_MAX;
    message messages[CU_DATAGRAMS_MAX];
    struct iovec pieces[CU_DATAGRAMS_MAX];
    memset(messages, 0, sizeof messages[0] * (size_t)count);
    char *next = (char *)buffer;
    for (int i = 0; i < count; i++) {
        pieces[i] = (struct iovec){.iov_base = next, .iov_len = list[i].length};
        next += list[i].length;
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        if (list[i].address.length == 0) continue;
        messages[i].msg_hdr.msg_name = (void *)&list[i].address.storage;
        messages[i].msg_hdr.msg_namelen = list[i].address.length;
    }
    return send_messages(fd, messages, count);
}

ssize_t cu_send_datagram(int fd, const void *buffer, size_t size, const struct cu_address *to) {
    const struct sockaddr *name = to ? (const struct sockaddr *)&to->storage : NULL;
    ssize_t n;
    do n = sendto(fd, buffer, size, MSG_NOSIGNAL, name, to ? to->length : 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}
