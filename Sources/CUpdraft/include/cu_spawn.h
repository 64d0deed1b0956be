// Starting programs, and learning how they ended.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A descriptor of this process, and the number it has in the program.
struct cu_spawn_descriptor {
    int32_t parent;
    int32_t child;
};

enum {
    // A session of its own, without a terminal; it is also a process group of its own.
    CU_SPAWN_NEW_SESSION = 1,
    CU_SPAWN_NEW_GROUP = 2,
};

// What a start failed at.
enum {
    CU_SPAWN_AT_PROCESS = 1,
    CU_SPAWN_AT_DESCRIPTORS = 2,
    CU_SPAWN_AT_SESSION = 3,
    CU_SPAWN_AT_DEATH_SIGNAL = 4,
    CU_SPAWN_AT_DIRECTORY = 5,
    CU_SPAWN_AT_PROGRAM = 6,
};

struct cu_spawn_program {
    // Not looked up in PATH. A relative one is relative to `directory`.
    const char *path;
    // Both end with NULL.
    char *const *argv;
    char *const *envp;
    // The program's working directory, or NULL for this process's own.
    const char *directory;
    // All that the program gets: it has none of this process's other descriptors, whether they are
    // close-on-exec or not. What is missing of 0, 1 and 2 is the null device.
    const struct cu_spawn_descriptor *descriptors;
    int32_t descriptor_count;
    int32_t flags;
    // The signal that the program gets when the thread that started it ends, with the process or
    // before it; 0 for none. ENOTSUP where the system has no such thing.
    int32_t death_signal;
};

// Starts a program and waits until it has begun (so for the exec, not for its end). The program
// has no signal blocked, and none that this process handles; what this process ignores it ignores
// too, but for SIGPIPE and SIGCHLD. Any thread.
//
// The pid, or a negated errno; *failed_at says then what the start failed at.
int32_t cu_spawn(const struct cu_spawn_program *program, int32_t *failed_at);

// A descriptor, close-on-exec, that becomes and stays readable when the child ends. A negated
// errno: ESRCH if it has ended and the system can't watch it any more, ENOSYS if the system has no
// such descriptors (then SIGCHLD tells).
int cu_child_watch(int32_t pid);

enum { CU_CHILD_RUNNING = 0, CU_CHILD_EXITED = 1, CU_CHILD_SIGNALLED = 2 };
// Whether the child has ended, and if so its exit code or the signal that ended it. Its pid is free
// to be used again then. A negated errno: ECHILD if someone else has collected it.
int cu_child_reap(int32_t pid, bool wait, int32_t *code);

// Sends a signal to a child that has not been reaped. `watch` is its descriptor, or -1.
int cu_child_signal(int32_t pid, int watch, int signal);

// The signal that tells of the end of a child, and the one that nothing survives.
extern const int cu_sigchld, cu_sigkill;
// Errors of starts that are told apart.
extern const int cu_eacces, cu_enoexec, cu_esrch;

// Whether this process may execute the plain file. 0 or a negated errno.
int cu_executable_check(const char *path);
// The environment of this process, as name=value; ends with NULL.
char **cu_environment(void);
// A pipe whose ends are close-on-exec and block: one of them is for a program.
int cu_spawn_pipe(int ends[2]);
