#define _GNU_SOURCE
#include "cu_prefork.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#if defined(__APPLE__)
#include <mach-o/dyld.h>
#endif

// --- the supervisor's death ---

static atomic_flag has_died = ATOMIC_FLAG_INIT;

#if defined(__linux__)
int cu_supervisor_death_signal(void) { return SIGRTMAX - 1; }

static timer_t killer;
static struct itimerspec grace;

static int prepare_killer(int64_t nanoseconds) {
    // Zero would mean never.
    if (nanoseconds <= 0) nanoseconds = 1;
    grace.it_value.tv_sec = nanoseconds / 1000000000;
    grace.it_value.tv_nsec = nanoseconds % 1000000000;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    return timer_create(CLOCK_MONOTONIC, &event, &killer) < 0 ? -errno : 0;
}

static void start_killer(void) { timer_settime(killer, 0, &grace, NULL); }
#else
int cu_supervisor_death_signal(void) { return 0; }

static unsigned grace;

static int prepare_killer(int64_t nanoseconds) {
    grace = (unsigned)((nanoseconds + 999999999) / 1000000000);
    if (grace == 0) grace = 1;
    return 0;
}

static void start_killer(void) { alarm(grace); }
#endif

void cu_supervisor_died(void) {
    if (atomic_flag_test_and_set(&has_died)) return;
    int saved = errno;
    // The grace first: without a handler of the program's own the next line is the last.
    start_killer();
    kill(getpid(), SIGTERM);
    errno = saved;
}

static void on_death(int signal) {
    (void)signal;
    cu_supervisor_died();
}

int cu_guard_worker(int64_t grace_nanoseconds) {
    int result = prepare_killer(grace_nanoseconds);
    if (result < 0 || cu_supervisor_death_signal() == 0) return result;
    struct sigaction action = {.sa_handler = on_death, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    return sigaction(cu_supervisor_death_signal(), &action, NULL) < 0 ? -errno : 0;
}

// --- what a worker has been given ---

pid_t cu_parent_pid(void) { return getppid(); }
pid_t cu_own_pid(void) { return getpid(); }

int cu_check_inherited(int fd, bool listens) {
    int value = 0;
    socklen_t length = sizeof value;
    int option = listens ? SO_ACCEPTCONN : SO_TYPE;
    if (getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0) return -errno;
    return value == 0 ? -EINVAL : 0;
}

int cu_set_close_on_exec(int fd) {
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0) return -errno;
    return 0;
}

bool cu_signal_is_ignored(int signal) {
    struct sigaction action;
    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void cu_unset_variable(const char *name) { unsetenv(name); }

// --- the program ---

ssize_t cu_program_path(char *buffer, size_t size) {
#if defined(__APPLE__)
    uint32_t length = (uint32_t)size;
    if (_NSGetExecutablePath(buffer, &length) != 0) return -ENAMETOOLONG;
    return (ssize_t)strlen(buffer);
#elif defined(__linux__)
    ssize_t length = readlink("/proc/self/exe", buffer, size);
    return length < 0 ? -errno : length;
#else
    (void)buffer;
    (void)size;
    return -ENOSYS;
#endif
}

void cu_exit(int code) { exit(code); }
