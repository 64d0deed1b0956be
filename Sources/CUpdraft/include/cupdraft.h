// What the core needs of the system and Swift's overlay of the C library hides or makes dear.
// Every call that can fail returns the negated errno, so that no caller reads errno a second time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "cu_address.h"
#include "cu_locals.h"
#include "cu_prefork.h"
#include "cu_spawn.h"
#include "cu_standard.h"
#include "cu_stall.h"

// The calling thread's current loop (the address of its executor), or NULL.
extern __thread void *cu_current_loop_word __attribute__((tls_model("initial-exec")));
static inline void *cu_current_loop(void) { return cu_current_loop_word; }
static inline void cu_set_current_loop(void *loop) { cu_current_loop_word = loop; }

// Begins to fetch the cache line at an address that will be written to soon; any address will do.
static inline void cu_prefetch(const void *address) { __builtin_prefetch(address, 1); }

// Memory by malloc; ends the program if there is none. Swift's own way to small raw memory goes
// through posix_memalign, at several times the price.
void *cu_allocate(size_t size) __attribute__((returns_nonnull));
void cu_free(void *memory);

// Tells glibc's malloc that large blocks come and go in this process, so that it keeps up to 2 MiB
// of freed memory. By default it gives all above 128 KiB at the heap's end back to the kernel, and
// a stream's share of a turn is more than that: each page of a large message would be given back,
// faulted in and cleared again, which takes longer than the message. That happens where nothing
// else lives at the heap's end, which differs from build to build.
//
// More than 2 MiB at the end of a heap (malloc has several, for threads) is given back as before,
// all but 128 KiB. Where more is held and freed in one turn, that is each time. The limit is no
// higher so that what a peer's longest message took returns once it is handled.
//
// It is done as a program would that frees a block of 1 MiB: malloc adapts itself to that, and
// does not where the user has chosen (MALLOC_TRIM_THRESHOLD_ and the like). Once per process.
void cu_keep_freed_memory(void);

// The running task, as an address that is only compared, or NULL outside tasks. The public way to
// ask (withUnsafeCurrentTask) costs some 350 instructions in each wait.
void *cu_current_task(void);

// Errors that the core tells apart.
extern const int cu_eagain, cu_eintr, cu_epipe, cu_econnreset, cu_econnaborted, cu_etimedout,
    cu_einprogress, cu_emfile, cu_enfile, cu_enobufs, cu_enomem, cu_einval, cu_ebadf, cu_eexist,
    cu_enoent, cu_eaddrinuse, cu_enotconn, cu_enosys, cu_emsgsize, cu_edestaddrreq;
// Writes the text of an errno into buffer (at most size bytes with the NUL).
void cu_error_text(int error, char *buffer, size_t size);

// Monotonic and wall-clock nanoseconds.
int64_t cu_monotonic_nanoseconds(void);
int64_t cu_wall_nanoseconds(void);

// Blocks the thread.
void cu_sleep_milliseconds(int milliseconds);
// Ignores SIGPIPE unless the program has given it an action of its own: a write to a pipe that
// nobody reads is an error of that call, not the end of the process.
void cu_ignore_broken_pipes(void);

// Writes bytes to standard error, then stops the program with a trap.
void cu_die(const char *message, size_t length) __attribute__((noreturn));
// Write bytes, unbuffered.
void cu_write_stderr(const char *message, size_t length);
void cu_write_stdout(const char *message, size_t length);

// The offset of the first needle in the bytes, or -1.
ptrdiff_t cu_find(const void *bytes, size_t size, const void *needle, size_t needle_size);

// --- epoll ---------------------------------------------------------------------------------
struct cu_event {
    uint64_t token;
    uint32_t events;
    uint32_t reserved;
};
// Elsewhere than on Linux all of these fail with ENOSYS.
extern const bool cu_has_epoll;
extern const uint32_t cu_epoll_read, cu_epoll_write, cu_epoll_error, cu_epoll_hangup,
    cu_epoll_read_hangup, cu_epoll_urgent, cu_epoll_edge;
int cu_epoll_create(void);
int cu_epoll_add(int epoll, int fd, uint32_t events, uint64_t token);
int cu_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token);
int cu_epoll_remove(int epoll, int fd);
// At most `capacity` events, `timeout_ms` < 0 waits without limit.
int cu_epoll_wait(int epoll, struct cu_event *events, int capacity, int timeout_ms);

// --- select --------------------------------------------------------------------------------
enum { CU_SELECT_READ = 1, CU_SELECT_WRITE = 2, CU_SELECT_ERROR = 4, CU_SELECT_CLOSED = 8 };
struct cu_select_event {
    int32_t fd;
    uint32_t directions;
};
struct cu_select;
// FD_SETSIZE: descriptors must be below it.
extern const int cu_select_limit;
// NULL for want of memory.
struct cu_select *cu_select_create(void);
void cu_select_destroy(struct cu_select *set);
// Adds a descriptor's directions to what is waited for, and takes them out again.
void cu_select_arm(struct cu_select *set, int fd, uint32_t directions);
void cu_select_disarm(struct cu_select *set, int fd, uint32_t directions);
// At most `capacity` descriptors that are ready, with CU_SELECT_ERROR if they failed, or, as
// CU_SELECT_CLOSED, those that were closed while they were waited for. `timeout_ns` < 0 waits
// without limit.
int cu_select_wait(struct cu_select *set, struct cu_select_event *events, int capacity,
                   int64_t timeout_ns);

// --- kqueue --------------------------------------------------------------------------------
enum { CU_KQUEUE_READ = 1, CU_KQUEUE_WRITE = 2 };
enum { CU_KQUEUE_EOF = 1, CU_KQUEUE_ERROR = 2 };
struct cu_kqueue_event {
    uint64_t token;
    int32_t fd;
    uint16_t filter;
    uint16_t flags;
};
// The calls as a table, so that tests can put a stand-in of kevent(2) below the same poller.
struct cu_kqueue_calls {
    int (*create)(void);
    int (*add)(int kqueue, int fd, int filter, bool edge, uint64_t token);
    int (*remove)(int kqueue, int fd, int filter);
    // At most `capacity` events, one for each filter; `timeout_ns` < 0 waits without limit.
    int (*wait)(int kqueue, struct cu_kqueue_event *events, int capacity, int64_t timeout_ns);
    int (*close)(int kqueue);
};
// NULL where the system has no kqueue.
const struct cu_kqueue_calls *cu_kqueue_system(void);

// The longest wait that every system's select and kevent take (some refuse more): 3 years.
#define CU_TIMEOUT_SECONDS_MAX 100000000

// --- the waker -----------------------------------------------------------------------------
// ends[0] becomes readable when ends[1] is signalled: on Linux one eventfd, elsewhere a pipe.
int cu_waker_create(int ends[2]);
int cu_waker_signal(int write_end);
int cu_waker_drain(int read_end);

// --- descriptors and sockets ---------------------------------------------------------------
enum { CU_ADDRESS_OTHER = 0, CU_ADDRESS_IPV4 = 4, CU_ADDRESS_IPV6 = 6, CU_ADDRESS_UNIX = 1 };
// Parses a numeric IPv4 or IPv6 address. 0, or -EINVAL.
int cu_address_parse(const char *host, uint16_t port, struct cu_address *out);
// A path, or (Linux) an abstract name, which begins with a zero byte.
int cu_address_unix(const char *path, size_t length, struct cu_address *out);
// The path or abstract name of a Unix socket into buffer; its length, 0 if there is none.
size_t cu_address_unix_path(const struct cu_address *address, char *buffer, size_t size);
int cu_address_kind(const struct cu_address *address);
uint16_t cu_address_port(const struct cu_address *address);
// The numeric host (or the path of a Unix socket) into buffer; its length, or a negated errno.
int cu_address_host(const struct cu_address *address, char *buffer, size_t size);
// Resolves a name with getaddrinfo; blocks. `kind`: CU_ADDRESS_IPV4 or _IPV6 alone, or
// CU_ADDRESS_OTHER for both. The number of addresses, or -1: `failure` says why.
struct cu_resolve_failure {
    // EAI_..., whose sign is the system's.
    int code;
    // The errno beneath, or 0.
    int error;
};
int cu_resolve(const char *host, uint16_t port, int kind, struct cu_address *out, int capacity,
               struct cu_resolve_failure *failure);
enum {
    CU_RESOLVE_NO_NAME,
    CU_RESOLVE_NO_ADDRESS,
    // No name server has answered.
    CU_RESOLVE_TRY_AGAIN,
    // A name server has refused.
    CU_RESOLVE_REFUSED,
    CU_RESOLVE_OTHER
};
// What an EAI_ code says, and its text.
int cu_resolve_verdict(int code);
const char *cu_resolve_text(int code);

int cu_socket_stream(const struct cu_address *address);
int cu_bind_listener(int fd, const struct cu_address *address, bool reuse_port);
int cu_listen(int fd, int backlog);
// 1 if the socket listens, 0 if not, or a negated errno.
int cu_is_listening(int fd);
// Whether it carries a stream, in place of messages; otherwise as cu_is_listening.
int cu_is_stream(int fd);
// Binds the own end of a socket that is about to connect.
int cu_bind_source(int fd, const struct cu_address *address);
int cu_connect(int fd, const struct cu_address *address);
int cu_accept(int fd, struct cu_address *peer);
enum {
    // One connection failed before it was accepted.
    CU_ACCEPT_SKIPPED,
    // No descriptors are left.
    CU_ACCEPT_EXHAUSTED,
    // For the moment the socket gives none.
    CU_ACCEPT_FAILED,
    // The descriptor is no socket that listens, or no more.
    CU_ACCEPT_LOST
};
// What an error of cu_accept, other than EAGAIN, says.
int cu_accept_verdict(int error);
int cu_local_address(int fd, struct cu_address *out);
int cu_peer_address(int fd, struct cu_address *out);
int cu_set_no_delay(int fd, bool on);
// -ENOSYS where the times are the system's alone: it is on then all the same.
int cu_set_keep_alive(int fd, int idle_seconds, int interval_seconds, int count);
// How long sent data may stay unacknowledged; -ENOSYS where there is no such option.
int cu_set_user_timeout(int fd, int milliseconds);
extern const int cu_econnrefused, cu_eafnosupport, cu_eaddrnotavail, cu_eprototype,
    cu_unix_path_max;
// The pending error of a socket (SO_ERROR), as a positive errno, or 0.
int cu_socket_error(int fd);
ssize_t cu_recv(int fd, void *buffer, size_t size);
ssize_t cu_send(int fd, const void *buffer, size_t size);
ssize_t cu_sendv(int fd, const struct iovec *pieces, int count);
ssize_t cu_read(int fd, void *buffer, size_t size);
ssize_t cu_write(int fd, const void *buffer, size_t size);
int cu_shutdown_write(int fd);
// Closing with a pending reset: the peer gets RST instead of FIN.
int cu_set_linger_reset(int fd);
int cu_close(int fd);
// 0 if the descriptor can be waited for; -EBADF if it is not open, -EPERM, as epoll says it, if it
// is a plain file or a folder, which are always ready.
int cu_descriptor_check(int fd);
int cu_set_nonblocking(int fd);
int cu_pipe(int fds[2]);
int cu_open_null(void);
int cu_socket_pair(int fds[2]);

// --- files ---------------------------------------------------------------------------------
int cu_open_file(const char *path);
// Bytes of a plain file; -EINVAL for anything else.
int64_t cu_file_size(int fd);
// False if it is open, but not for reading.
bool cu_is_readable(int fd);
int cu_duplicate(int fd);
ssize_t cu_pread(int fd, void *buffer, size_t size, int64_t offset);
// From a file to a socket within the kernel. -ENOSYS where there is no such call.
ssize_t cu_send_file(int fd, int file, int64_t offset, size_t size);

// --- files of Unix sockets -----------------------------------------------------------------
int cu_socket_unix(void);
struct cu_socket_file {
    uint64_t device, inode;
    uint32_t mode;
    bool is_socket;
};
// What stands at the path itself, which is not followed if it is a link.
int cu_socket_file(const char *path, struct cu_socket_file *out);
// Before bind(2): its file is never open to more than `mode` says. Where that has no effect, the
// mode is set after it.
void cu_limit_socket_mode(int fd, uint32_t mode);
int cu_set_file_mode(const char *path, uint32_t mode);
int cu_unlink(const char *path);
// The folder in which relative paths begin, into buffer. 0, or a negated errno.
int cu_working_folder(char *buffer, size_t size);
// A descriptor that has the folder's lock, which other programs ask for too: -EAGAIN if one has it.
// The lock ends with cu_unlock_folder or with the process.
int cu_lock_folder(const char *path);
void cu_unlock_folder(int fd);
// A descriptor to give up when there are no others left.
int cu_spare_descriptor(void);
// Makes a descriptor from elsewhere non-blocking, and closed on exec.
int cu_adopt_descriptor(int fd);

// --- datagrams -----------------------------------------------------------------------------
enum { CU_DATAGRAMS_MAX = 32 };
struct cu_datagram {
    // The sender's when received; the receiver's when sent, or of length 0 for the peer that the
    // socket is connected to.
    struct cu_address address;
    size_t length;
    bool is_truncated;
};
// A bound, non-blocking UDP socket, or a negated errno.
int cu_socket_datagram(const struct cu_address *address, bool reuse_port);
int cu_set_broadcast(int fd, bool on);
int cu_set_receive_buffer(int fd, int bytes);
// At most `count` datagrams, each into its slot of `buffer`, in one system call where there is one
// for many. How many came, or a negated errno.
int cu_receive_datagrams(int fd, void *buffer, size_t slot_size, struct cu_datagram *out,
                         int count);
// To the peer that the socket is connected to if `to` is NULL.
ssize_t cu_send_datagram(int fd, const void *buffer, size_t size, const struct cu_address *to);
// At most `count` datagrams, which lie in `buffer` one behind the other, in one system call where
// there is one for many. How many were sent, from the first on, or a negated errno if none was.
int cu_send_datagrams(int fd, const void *buffer, const struct cu_datagram *list, int count);

// --- signals -------------------------------------------------------------------------------
// A handler that only writes the signal's number, as one byte, to every watching descriptor.
// When all watchers of a signal are for `once`, its first delivery takes the handler back too.
int cu_signal_watch(int signal, int fd, bool once);
// Afterwards no handler writes to the descriptor any more, so that it may be closed.
int cu_signal_unwatch(int signal, int fd, bool once);
int cu_signal_raise(int signal);

// --- the main queue ------------------------------------------------------------------------
// libdispatch's main queue, so that work for the main actor is served by a loop on the main
// thread. -1 where the running libdispatch does not offer it as a descriptor.
int cu_main_queue_descriptor(void);
void cu_main_queue_drain(void);
bool cu_is_main_thread(void);

// --- threads -------------------------------------------------------------------------------
// Starts a thread that runs body(context). 0, or a negated errno.
int cu_thread_start(void (*body)(void *), void *context, const char *name, uint64_t *handle);
int cu_thread_join(uint64_t handle);
void cu_thread_detach(uint64_t handle);
uint64_t cu_thread_self(void);
int32_t cu_process_id(void);
int cu_processors(void);

// --- compact addresses ---------------------------------------------------------------------
// An IP address in numbers: an IPv4 address is the upper half of `high`.
struct cu_ip {
    int kind;
    uint16_t port;
    // Of a link-local address.
    uint32_t scope;
    uint64_t high, low;
};
// For an address that is none of IP the kind alone.
struct cu_ip cu_address_ip(const struct cu_address *address);
// `kind` is CU_ADDRESS_IPV4 or _IPV6.
void cu_address_from_ip(const struct cu_ip *ip, struct cu_address *out);

// --- a counting semaphore between threads ---------------------------------------------------
void *cu_semaphore_create(void);
void cu_semaphore_post(void *semaphore);
void cu_semaphore_wait(void *semaphore);
void cu_semaphore_destroy(void *semaphore);
