#define _GNU_SOURCE
#include "cupdraft.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int cu_socket_datagram(const struct cu_address *address, bool reuse_port) {
    int family = address->storage.ss_family, one = 1;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
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

int cu_receive_datagrams(int fd, void *buffer, size_t slot_size, struct cu_datagram *out,
                         int count) {
    if (count > CU_DATAGRAMS_MAX) count = CU_DATAGRAMS_MAX;
    struct mmsghdr messages[CU_DATAGRAMS_MAX];
    struct iovec pieces[CU_DATAGRAMS_MAX];
    memset(messages, 0, sizeof messages[0] * (size_t)count);
    for (int i = 0; i < count; i++) {
        pieces[i] = (struct iovec){.iov_base = (char *)buffer + slot_size * (size_t)i,
                                   .iov_len = slot_size};
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &out[i].sender.storage;
        messages[i].msg_hdr.msg_namelen = sizeof out[i].sender.storage;
    }
    int n;
    do n = recvmmsg(fd, messages, (unsigned)count, 0, NULL);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    for (int i = 0; i < n; i++) {
        out[i].length = messages[i].msg_len;
        out[i].is_truncated = (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        out[i].sender.length = messages[i].msg_hdr.msg_namelen;
    }
    return n;
}

ssize_t cu_send_datagram(int fd, const void *buffer, size_t size, const struct cu_address *to) {
    const struct sockaddr *name = to ? (const struct sockaddr *)&to->storage : NULL;
    ssize_t n;
    do n = sendto(fd, buffer, size, MSG_NOSIGNAL, name, to ? to->length : 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}
