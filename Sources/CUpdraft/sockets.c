#define _GNU_SOURCE
#include "portable.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

const int cu_econnrefused = ECONNREFUSED, cu_eafnosupport = EAFNOSUPPORT,
          cu_eaddrnotavail = EADDRNOTAVAIL, cu_eprototype = EPROTOTYPE,
          cu_unix_path_max = (int)sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

int cu_address_parse(const char *host, uint16_t port, struct cu_address *out) {
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->storage;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        out->length = sizeof *v4;
        return 0;
    }
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        out->length = sizeof *v6;
        return 0;
    }
    return -EINVAL;
}

int cu_address_unix(const char *path, size_t length, struct cu_address *out) {
    memset(out, 0, sizeof *out);
    struct sockaddr_un *un = (struct sockaddr_un *)&out->storage;
    if (length == 0 || length > sizeof un->sun_path) return -EINVAL;
    un->sun_family = AF_UNIX;
    // An abstract name begins with a zero byte and is as long as it is; a path ends with one, and
    // has none within.
    bool is_abstract = path[0] == 0;
    if (!is_abstract && length == sizeof un->sun_path) return -EINVAL;
    if (is_abstract ? length == 1 : memchr(path, 0, length) != NULL) return -EINVAL;
#if !defined(__linux__)
    if (is_abstract) return -EINVAL;
#endif
    memcpy(un->sun_path, path, length);
    out->length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (is_abstract ? 0 : 1));
    return 0;
}

size_t cu_address_unix_path(const struct cu_address *address, char *buffer, size_t size) {
    size_t start = offsetof(struct sockaddr_un, sun_path);
    if (address->storage.ss_family != AF_UNIX || address->length <= start) return 0;
    const char *path = ((const struct sockaddr_un *)&address->storage)->sun_path;
    size_t length = address->length - start;
    if (path[0] != 0) length = strnlen(path, length);
    if (length > size) length = size;
    memcpy(buffer, path, length);
    return length;
}

int cu_address_kind(const struct cu_address *address) {
    switch (address->storage.ss_family) {
    case AF_INET: return CU_ADDRESS_IPV4;
    case AF_INET6: return CU_ADDRESS_IPV6;
    case AF_UNIX: return CU_ADDRESS_UNIX;
    default: return CU_ADDRESS_OTHER;
    }
}

uint16_t cu_address_port(const struct cu_address *address) {
    switch (address->storage.ss_family) {
    case AF_INET: return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
    case AF_INET6: return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
    default: return 0;
    }
}

int cu_address_host(const struct cu_address *address, char *buffer, size_t size) {
    const void *bytes = NULL;
    int family = address->storage.ss_family;
    if (family == AF_INET) bytes = &((const struct sockaddr_in *)&address->storage)->sin_addr;
    if (family == AF_INET6) bytes = &((const struct sockaddr_in6 *)&address->storage)->sin6_addr;
    if (bytes) {
        const char *text = inet_ntop(family, bytes, buffer, (socklen_t)size);
        return text ? (int)strlen(buffer) : -errno;
    }
    if (family != AF_UNIX) return -EAFNOSUPPORT;
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    size_t most = address->length > offsetof(struct sockaddr_un, sun_path)
        ? address->length - offsetof(struct sockaddr_un, sun_path) : 0;
    return snprintf(buffer, size, "%.*s", (int)most, un->sun_path);
}

int cu_resolve(const char *host, uint16_t port, int kind, struct cu_address *out, int capacity,
               struct cu_resolve_failure *failure) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    if (kind == CU_ADDRESS_IPV4) hints.ai_family = AF_INET;
    if (kind == CU_ADDRESS_IPV6) hints.ai_family = AF_INET6;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int code = getaddrinfo(host, service, &hints, &list);
    if (code != 0) {
        // EAI_MEMORY has an errno too, which nobody sets.
        int error = code == EAI_SYSTEM ? errno : code == EAI_MEMORY ? ENOMEM : 0;
        *failure = (struct cu_resolve_failure){.code = code, .error = error};
        return -1;
    }
    int count = 0;
    for (struct addrinfo *a = list; a && count < capacity; a = a->ai_next) {
        if (a->ai_addrlen > sizeof out->storage) continue;
        memset(&out[count], 0, sizeof out[count]);
        memcpy(&out[count].storage, a->ai_addr, a->ai_addrlen);
        out[count++].length = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return count;
}

int cu_resolve_verdict(int code) {
    switch (code) {
    case EAI_NONAME:
        return CU_RESOLVE_NO_NAME;
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
    case EAI_NODATA:
#endif
#ifdef EAI_ADDRFAMILY
    case EAI_ADDRFAMILY:
#endif
        return CU_RESOLVE_NO_ADDRESS;
    case EAI_AGAIN:
        return CU_RESOLVE_TRY_AGAIN;
    case EAI_FAIL:
        return CU_RESOLVE_REFUSED;
    default:
        return CU_RESOLVE_OTHER;
    }
}

const char *cu_resolve_text(int code) { return gai_strerror(code); }

int cu_socket_stream(const struct cu_address *address) {
    return new_socket(address->storage.ss_family, SOCK_STREAM);
}

int cu_bind_listener(int fd, const struct cu_address *address, bool reuse_port) {
    int one = 1;
    int family = address->storage.ss_family;
    // Without SO_REUSEADDR a restarted server waits for old connections to leave TIME_WAIT; it
    // does not let two listeners share a port.
    if (family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0)
        return -errno;
    if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0)
        return -errno;
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) < 0)
        return -errno;
    return bind(fd, (const struct sockaddr *)&address->storage, address->length) < 0 ? -errno : 0;
}

int cu_listen(int fd, int backlog) { return listen(fd, backlog) < 0 ? -errno : 0; }

int cu_bind_source(int fd, const struct cu_address *address) {
    int one = 1;
#ifdef IP_BIND_ADDRESS_NO_PORT
    // The port is picked at connect(2), so that one is used again for other peers.
    if (address->storage.ss_family != AF_UNIX && cu_address_port(address) == 0)
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
#endif
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0) return -errno;
    return bind(fd, (const struct sockaddr *)&address->storage, address->length) < 0 ? -errno : 0;
}

int cu_connect(int fd, const struct cu_address *address) {
    int r = connect(fd, (const struct sockaddr *)&address->storage, address->length);
    return r < 0 ? -errno : 0;
}

int cu_accept(int fd, struct cu_address *peer) {
    memset(peer, 0, sizeof *peer);
    peer->length = sizeof peer->storage;
    int r;
    do r = accept_new(fd, (struct sockaddr *)&peer->storage, &peer->length);
    while (r == -EINTR);
    return r;
}

int cu_local_address(int fd, struct cu_address *out) {
    memset(out, 0, sizeof *out);
    out->length = sizeof out->storage;
    return getsockname(fd, (struct sockaddr *)&out->storage, &out->length) < 0 ? -errno : 0;
}

int cu_peer_address(int fd, struct cu_address *out) {
    memset(out, 0, sizeof *out);
    out->length = sizeof out->storage;
    return getpeername(fd, (struct sockaddr *)&out->storage, &out->length) < 0 ? -errno : 0;
}

int cu_set_no_delay(int fd, bool on) {
    int value = on;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) < 0 ? -errno : 0;
}

// Darwin has another name for it; OpenBSD has it and its like for the whole system only.
#if !defined(TCP_KEEPIDLE) && defined(TCP_KEEPALIVE)
#define TCP_KEEPIDLE TCP_KEEPALIVE
#endif

int cu_set_keep_alive(int fd, int idle_seconds, int interval_seconds, int count) {
    int one = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one) < 0) return -errno;
#if defined(TCP_KEEPIDLE)
    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds) < 0 ||
        setsockopt(
            fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof interval_seconds) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count) < 0)
        return -errno;
    return 0;
#else
    (void)idle_seconds, (void)interval_seconds, (void)count;
    return -ENOSYS;
#endif
}

int cu_set_user_timeout(int fd, int milliseconds) {
#if defined(TCP_USER_TIMEOUT)
    unsigned value = (unsigned)milliseconds;
    return setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value) < 0 ? -errno : 0;
#else
    (void)fd;
    (void)milliseconds;
    return -ENOSYS;
#endif
}

int cu_is_listening(int fd) {
    int value = 0;
    socklen_t length = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) < 0) return -errno;
    return value != 0;
}

int cu_is_stream(int fd) {
    int type = 0;
    socklen_t length = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0) return -errno;
    return type == SOCK_STREAM;
}

int cu_socket_error(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

ssize_t cu_recv(int fd, void *buffer, size_t size) {
    ssize_t n;
    do n = recv(fd, buffer, size, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

// MSG_NOSIGNAL: a peer that went away is an error of this call, not SIGPIPE for the process.
ssize_t cu_send(int fd, const void *buffer, size_t size) {
    ssize_t n;
    do n = send(fd, buffer, size, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t cu_sendv(int fd, const struct iovec *pieces, int count) {
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
    ssize_t n;
    do n = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int cu_shutdown_write(int fd) { return shutdown(fd, SHUT_WR) < 0 ? -errno : 0; }

int cu_set_linger_reset(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) < 0 ? -errno : 0;
}

int cu_socket_pair(int fds[2]) { return new_socket_pair(fds); }

int cu_accept_verdict(int error) {
    switch (error < 0 ? -error : error) {
    case EMFILE:
    case ENFILE:
        return CU_ACCEPT_EXHAUSTED;
    case EINVAL:
    case EBADF:
    case ENOTSOCK:
        return CU_ACCEPT_LOST;
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
#ifdef ENONET
    case ENONET:
#endif
        return CU_ACCEPT_SKIPPED;
    default:
        return CU_ACCEPT_FAILED;
    }
}

static uint64_t read_number(const uint8_t bytes[8]) {
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) number = number << 8 | bytes[i];
    return number;
}

static void write_number(uint64_t number, uint8_t bytes[8]) {
    for (int i = 8; i-- > 0; number >>= 8) bytes[i] = (uint8_t)number;
}

struct cu_ip cu_address_ip(const struct cu_address *address) {
    struct cu_ip ip = {.kind = cu_address_kind(address), .port = cu_address_port(address)};
    if (ip.kind == CU_ADDRESS_IPV4) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
        ip.high = (uint64_t)ntohl(v4->sin_addr.s_addr) << 32;
    }
    if (ip.kind == CU_ADDRESS_IPV6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;
        ip.high = read_number(v6->sin6_addr.s6_addr);
        ip.low = read_number(v6->sin6_addr.s6_addr + 8);
        ip.scope = v6->sin6_scope_id;
    }
    return ip;
}

void cu_address_from_ip(const struct cu_ip *ip, struct cu_address *out) {
    memset(out, 0, sizeof *out);
    if (ip->kind == CU_ADDRESS_IPV4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&out->storage;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(ip->port);
        v4->sin_addr.s_addr = htonl((uint32_t)(ip->high >> 32));
        out->length = sizeof *v4;
    } else {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->storage;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(ip->port);
        v6->sin6_scope_id = ip->scope;
        write_number(ip->high, v6->sin6_addr.s6_addr);
        write_number(ip->low, v6->sin6_addr.s6_addr + 8);
        out->length = sizeof *v6;
    }
}
