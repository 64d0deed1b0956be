// The process's standard descriptors (0, 1, 2) without a change to what is shared with others.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

extern const int cu_eperm, cu_ebusy, cu_eio;

enum cu_standard_kind {
    // An open file of its own, non-blocking: a pipe or a terminal, opened anew.
    CU_STANDARD_OWN,
    // Shared with others and maybe blocking: to be asked (cu_standard_ready) before each call.
    CU_STANDARD_SHARED_PIPE,
    // The same, of a terminal or another device.
    CU_STANDARD_SHARED,
    // A socket: each call says that it must not block.
    CU_STANDARD_SOCKET,
    // A plain file or device: always ready.
    CU_STANDARD_FILE,
};
// A descriptor of its own for what `number` stands for, which is the caller's alone until
// cu_standard_release: -EBUSY if it is taken. Other failures leave it free.
int cu_standard_open(int number, bool is_output, enum cu_standard_kind *kind);
void cu_standard_release(int number);
// Lets `number` stand for /dev/null, which ends it for who is at the other end.
int cu_standard_silence(int number);
// 1 if a read, or a write of a few bytes, would not block now; 0 if it would.
int cu_standard_ready(int fd, bool is_output);
// Whether a read that brings less than was asked for has brought all there is: not so with a
// terminal, which gives a line at a time, or with a socket that is passed off as a pipe.
bool cu_is_plain_pipe(int fd);
// recv and send that do not block. A socket that has failed says why to both, in whatever order.
ssize_t cu_standard_recv(int fd, void *buffer, size_t size);
ssize_t cu_standard_send(int fd, const void *buffer, size_t size);
// The error that the socket has failed with, as a positive errno, or 0: also if it was told before.
int cu_standard_error(int fd);
