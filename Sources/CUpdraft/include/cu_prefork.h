// Workers that end when their supervisor does.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The signal that tells a worker of its supervisor's death; 0 where the system has no such thing.
int cu_supervisor_death_signal(void);

// In a worker: from now on that signal, instead of ending the process, calls
// cu_supervisor_died.
int cu_guard_worker(int64_t grace_nanoseconds);

// Sends SIGTERM to this process, and SIGKILL when it is still there after the grace, whatever it
// does: a worker whose loop is stuck would stay for ever. Does nothing when it is called again.
// Safe in signal handlers.
void cu_supervisor_died(void);

pid_t cu_parent_pid(void);
pid_t cu_own_pid(void);
// 0, or -EBADF, or -ENOTSOCK. `listens` tells whether it must be a socket that listens.
int cu_check_inherited(int fd, bool listens);
int cu_set_close_on_exec(int fd);
bool cu_signal_is_ignored(int signal);
// Removes a variable from the environment of this process.
void cu_unset_variable(const char *name);
// The path of the running program's file, as it was when it was started; its length.
ssize_t cu_program_path(char *buffer, size_t size);
// Ends the process as `return` from main does.
void cu_exit(int code) __attribute__((noreturn));
