/* SPDX-License-Identifier: MIT */
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/child.h"
#include "common/clock.h"
#include "supervisor/supervisor.h"

#define FIRST_OWN_FD 64

int spawn_move_fd(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OWN_FD);
    int error = errno;
    close(fd);
    return moved < 0 ? -error : moved;
}

static void reset_signals(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* As many descriptors as the system lets us have; and when memory runs out, children go first. */
static void set_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t ignored = write(fd, "200", 3);
        (void)ignored;
        close(fd);
    }
}

static void give_descriptors(const struct supervisor *supervisor, const struct roster_entry *kind)
{
    dup2(supervisor->region_fd, CHILD_FD_REGION);
    dup2(supervisor->doorbell_fd, CHILD_FD_DOORBELL);
    dup2(supervisor->place.lock_fd, CHILD_FD_LOCK);
    int next = CHILD_FD_LISTENERS;
    if (kind->listeners == LISTENERS_CONSOLE)
        dup2(supervisor->listeners.console.fd, next++);
    for (unsigned i = 0; kind->listeners && i < supervisor->listeners.public_count; i++)
        dup2(supervisor->listeners.public[i].fd, next++);
}

/* In the child: only async-signal-safe calls and what a single-threaded parent allows. */
static _Noreturn void become(const struct supervisor *supervisor, const struct roster_entry *kind,
                             const char *path, char *const argv[])
{
    setpgid(0, 0); /* first: a terminal's signals are not for it */
    reset_signals();
    /* After any change of account, which clears it; and the parent may be gone already. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != supervisor->pid)
        _exit(0);
    set_limits();
    give_descriptors(supervisor, kind);
    execv(path, argv);
    fprintf(stderr, "supervisor: cannot execute %s: %s\n", path, strerror(errno));
    _exit(127);
}

int spawn_child(struct supervisor *supervisor, struct slot_record *record)
{
    const struct roster_entry *kind = &roster[record->kind];
    char path[300], argument[64], program[32], child_flag[] = CHILD_ARGUMENT, mode[16] = "",
                                               demo[] = "--demo";
    char *argv[8] = {program};
    int n = 1;
    snprintf(path, sizeof path, "%s/%s", supervisor->program_dir, kind->program);
    snprintf(program, sizeof program, "%s", kind->program);
    snprintf(argument, sizeof argument, "%u,%u,%d,%u", record->index, record->generation + 1,
             (int)supervisor->pid, kind->rights);
    if (kind->mode) {
        snprintf(mode, sizeof mode, "%s", kind->mode);
        argv[n++] = mode;
    }
    if (kind->once && supervisor->options.demo)
        argv[n++] = demo;
    argv[n++] = child_flag;
    argv[n++] = argument;

    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        become(supervisor, kind, path, argv);
    record->generation++;
    record->pid = pid;
    /* The child is ours and not reaped, so the number cannot belong to anybody else yet. */
    record->pid_fd = pidfd_open(pid, 0);
    record->spawned_ns = clock_now_ns();
    record->started_wall_us = clock_wall_us();
    return 0;
}
