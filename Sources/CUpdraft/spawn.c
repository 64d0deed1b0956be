#define _GNU_SOURCE
#include "cu_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

// Everything from here to `child` runs between fork and exec, maybe beside threads that hold locks
// of the C library, and maybe (after vfork) in the parent's memory: system calls only.

struct start {
    const struct cu_spawn_program *program;
    // The descriptors' copies above every number that the program uses.
    int32_t *copies;
    int32_t copies_from;
    // Where the child writes what it failed at; close-on-exec.
    int report;
    pid_t parent;
};

struct failure {
    int32_t error;
    int32_t at;
};

static _Noreturn void fail(const struct start *start, int32_t at, int error) {
    struct failure failure = {error, at};
    ssize_t n;
    do n = write(start->report, &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    _exit(127);
}

// A handler of the parent's must not run here. A signal that is ignored stays so (nohup and the
// shells count on it), but for SIGPIPE, which a loop ignores, and SIGCHLD, without which a program
// never learns of its own children.
static void reset_signals(void) {
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action;
        if (sigaction(signal, NULL, &action) < 0 || action.sa_handler == SIG_DFL) continue;
        if (action.sa_handler == SIG_IGN && signal != SIGPIPE && signal != SIGCHLD) continue;
        action.sa_handler = SIG_DFL;
        action.sa_flags = 0;
        sigemptyset(&action.sa_mask);
        sigaction(signal, &action, NULL);
    }
}

static void close_on_exec(int fd) {
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && !(flags & FD_CLOEXEC)) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

#if defined(__linux__)
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

// Kernels before 5.11: the open descriptors as /proc lists them.
static bool close_listed_on_exec(int first) {
    int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return false;
    _Alignas(struct entry) char bytes[4096];
    long size;
    while ((size = syscall(SYS_getdents64, folder, bytes, sizeof bytes)) > 0) {
        for (long offset = 0; offset < size;) {
            const struct entry *entry = (const struct entry *)(bytes + offset);
            int fd = 0;
            const char *c = entry->name;
            for (; *c >= '0' && *c <= '9'; c++) fd = fd * 10 + (*c - '0');
            if (c != entry->name && *c == 0 && fd >= first) close_on_exec(fd);
            offset += entry->length;
        }
    }
    close(folder);
    return size == 0;
}
#endif

static void close_all_on_exec(int first) {
#if defined(__linux__)
    enum { CLOSE_ON_EXEC = 4 };
#if defined(SYS_close_range)
    if (syscall(SYS_close_range, first, ~0U, CLOSE_ON_EXEC) == 0) return;
#endif
    if (close_listed_on_exec(first)) return;
#endif
    struct rlimit limit;
    int end = 1 << 16;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)end) {
        end = (int)limit.rlim_cur;
    }
    for (int fd = first; fd < end; fd++) close_on_exec(fd);
}

static int open_null(const struct start *start) {
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0) fail(start, CU_SPAWN_AT_DESCRIPTORS, errno);
    // With 0, 1 or 2 closed it may have got the number of one of them.
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, start->copies_from);
    if (copy < 0) fail(start, CU_SPAWN_AT_DESCRIPTORS, errno);
    close(fd);
    return copy;
}

// In two steps, because a descriptor may be wanted under the number that another one has.
static void place_descriptors(struct start *start) {
    const struct cu_spawn_program *program = start->program;
    int report = fcntl(start->report, F_DUPFD_CLOEXEC, start->copies_from);
    if (report < 0) fail(start, CU_SPAWN_AT_DESCRIPTORS, errno);
    start->report = report;
    int null = open_null(start);
    for (int i = 0; i < program->descriptor_count; i++) {
        struct cu_spawn_descriptor wanted = program->descriptors[i];
        start->copies[i] = fcntl(wanted.parent, F_DUPFD_CLOEXEC, start->copies_from);
        // A daemon may have closed its own: nothing to inherit, as good as the null device.
        bool is_standard = wanted.child <= 2 && wanted.child == wanted.parent;
        if (start->copies[i] < 0 && errno == EBADF && is_standard) start->copies[i] = null;
        if (start->copies[i] < 0) fail(start, CU_SPAWN_AT_DESCRIPTORS, errno);
    }
    close_all_on_exec(3);
    bool has[3] = {false, false, false};
    for (int i = 0; i < program->descriptor_count; i++) {
        int child = program->descriptors[i].child;
        if (child <= 2) has[child] = true;
        // Clears close-on-exec of the number it makes.
        if (dup2(start->copies[i], child) < 0) fail(start, CU_SPAWN_AT_DESCRIPTORS, errno);
    }
    for (int fd = 0; fd < 3; fd++) {
        if (!has[fd] && dup2(null, fd) < 0) fail(start, CU_SPAWN_AT_DESCRIPTORS, errno);
    }
}

static void die_with_parent(const struct start *start) {
    int signal = start->program->death_signal;
    if (signal == 0) return;
#if defined(__linux__)
    if (prctl(PR_SET_PDEATHSIG, signal) < 0) fail(start, CU_SPAWN_AT_DEATH_SIGNAL, errno);
    // It may have died before that.
    if (getppid() != start->parent) _exit(127);
#else
    fail(start, CU_SPAWN_AT_DEATH_SIGNAL, ENOTSUP);
#endif
}

static _Noreturn void child(struct start *start) {
    const struct cu_spawn_program *program = start->program;
    reset_signals();
    if (program->flags & CU_SPAWN_NEW_SESSION) {
        if (setsid() < 0) fail(start, CU_SPAWN_AT_SESSION, errno);
    } else if (program->flags & CU_SPAWN_NEW_GROUP) {
        if (setpgid(0, 0) < 0) fail(start, CU_SPAWN_AT_SESSION, errno);
    }
    place_descriptors(start);
    die_with_parent(start);
    if (program->directory && chdir(program->directory) < 0) {
        fail(start, CU_SPAWN_AT_DIRECTORY, errno);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(program->path, program->argv, program->envp);
    fail(start, CU_SPAWN_AT_PROGRAM, errno);
}

// --- the parent ---

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

// vfork where it is sound: fork copies the page tables, which stops a loop with gigabytes of memory
// for tens of milliseconds. The child makes system calls only, and never returns from here.
__attribute__((noinline)) static pid_t start_child(struct start *start) {
#if defined(__linux__) && !defined(SANITIZED)
    pid_t pid = vfork();
#else
    pid_t pid = fork();
#endif
    if (pid == 0) child(start);
    return pid;
}

// Neither end gets the number of a standard descriptor that this process has closed: the program
// would take it for its own.
static int above_standard(int ends[2]) {
    for (int i = 0; i < 2; i++) {
        if (ends[i] > 2) continue;
        int copy = fcntl(ends[i], F_DUPFD_CLOEXEC, 3);
        int error = errno;
        if (copy < 0) {
            close(ends[0]);
            close(ends[1]);
            errno = error;
            return -1;
        }
        close(ends[i]);
        ends[i] = copy;
    }
    return 0;
}

static int pipe_close_on_exec(int ends[2]) {
#if defined(__linux__)
    if (pipe2(ends, O_CLOEXEC) < 0) return -1;
#else
    if (pipe(ends) < 0) return -1;
    close_on_exec(ends[0]);
    close_on_exec(ends[1]);
#endif
    return above_standard(ends);
}

// The system collects the children of a process that ignores SIGCHLD, and nobody learns how they
// ended. Some starters leave their programs so.
static void expect_children(void) {
    struct sigaction action;
    if (sigaction(SIGCHLD, NULL, &action) < 0 || action.sa_handler != SIG_IGN) return;
    action.sa_handler = SIG_DFL;
    action.sa_flags = 0;
    sigaction(SIGCHLD, &action, NULL);
}

// All signals are blocked around the fork, so that no handler of this process runs in the child.
static int32_t start_blocked(struct start *start, int report_end, int32_t *failed_at) {
    expect_children();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = start_child(start);
    int error = pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    // After vfork the child has changed the field, but not this process's descriptors.
    close(report_end);
    *failed_at = CU_SPAWN_AT_PROCESS;
    return pid < 0 ? -error : pid;
}

static int32_t outcome(int32_t pid, int report, int32_t *failed_at) {
    struct failure failure;
    ssize_t n;
    // Ends with the exec, which closes the other end, or with what failed before it.
    do n = read(report, &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    if (n != sizeof failure) return pid;
    *failed_at = failure.at;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
    return -failure.error;
}

int32_t cu_spawn(const struct cu_spawn_program *program, int32_t *failed_at) {
    *failed_at = CU_SPAWN_AT_DESCRIPTORS;
    int32_t highest = 2;
    for (int i = 0; i < program->descriptor_count; i++) {
        int32_t child = program->descriptors[i].child;
        if (child < 0) return -EBADF;
        if (child > highest) highest = child;
    }
    size_t count = (size_t)program->descriptor_count;
    struct start start = {.program = program, .copies_from = highest + 1, .parent = getpid()};
    start.copies = calloc(count + 1, sizeof *start.copies);
    if (!start.copies) return -ENOMEM;
    int ends[2];
    if (pipe_close_on_exec(ends) < 0) {
        int error = errno;
        free(start.copies);
        return -error;
    }
    start.report = ends[1];
    int32_t pid = start_blocked(&start, ends[1], failed_at);
    if (pid > 0) pid = outcome(pid, ends[0], failed_at);
    close(ends[0]);
    free(start.copies);
    return pid;
}

// --- how it ended ---

#if defined(__linux__)
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

int cu_child_watch(int32_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0) return fd;
    // What sandboxes answer to calls that they do not know.
    return errno == EPERM ? -ENOSYS : -errno;
}

static int send_signal(int watch, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, watch, signal, NULL, 0);
}
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__NetBSD__)
#include <sys/event.h>

// A kqueue is itself a descriptor that is readable as long as it holds an event.
int cu_child_watch(int32_t pid) {
    int queue = kqueue();
    if (queue < 0) return -errno;
    close_on_exec(queue);
    struct kevent change;
    EV_SET(&change, pid, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, 0);
    if (kevent(queue, &change, 1, NULL, 0, NULL) == 0) return queue;
    int error = errno;
    close(queue);
    return -error;
}

static int send_signal(int watch, int signal) {
    (void)watch;
    (void)signal;
    errno = ENOSYS;
    return -1;
}
#else
int cu_child_watch(int32_t pid) {
    (void)pid;
    return -ENOSYS;
}

static int send_signal(int watch, int signal) {
    (void)watch;
    (void)signal;
    errno = ENOSYS;
    return -1;
}
#endif

int cu_child_reap(int32_t pid, bool wait, int32_t *code) {
    int status = 0;
    pid_t ended;
    do ended = waitpid(pid, &status, wait ? 0 : WNOHANG);
    while (ended < 0 && errno == EINTR);
    if (ended < 0) return -errno;
    if (ended == 0) return CU_CHILD_RUNNING;
    if (WIFSIGNALED(status)) {
        *code = WTERMSIG(status);
        return CU_CHILD_SIGNALLED;
    }
    *code = WEXITSTATUS(status);
    return CU_CHILD_EXITED;
}

int cu_child_signal(int32_t pid, int watch, int signal) {
    // By the descriptor, if there is one: it can't mean another process, whoever reaped this one.
    if (watch >= 0 && send_signal(watch, signal) == 0) return 0;
    if (watch >= 0 && errno != ENOSYS && errno != EPERM) return -errno;
    return kill(pid, signal) < 0 ? -errno : 0;
}

// --- what a start needs to know ---

const int cu_sigchld = SIGCHLD, cu_sigkill = SIGKILL;
const int cu_eacces = EACCES, cu_enoexec = ENOEXEC, cu_esrch = ESRCH;

int cu_executable_check(const char *path) {
    struct stat status;
    if (stat(path, &status) < 0) return -errno;
    if (!S_ISREG(status.st_mode)) return -EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

char **cu_environment(void) {
    extern char **environ;
    return environ;
}

int cu_spawn_pipe(int ends[2]) { return pipe_close_on_exec(ends) < 0 ? -errno : 0; }
