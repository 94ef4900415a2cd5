/* SPDX-License-Identifier: MIT */
#include "supervisor/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "supervisor/control.h"
#include "supervisor/reconcile.h"
#include "supervisor/slots.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor.h"

static sigset_t taken_signals(void)
{
    static const int taken[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGTTIN, SIGTTOU};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        sigaddset(&set, taken[i]);
    return set;
}

void loop_block_signals(void)
{
    sigset_t set = taken_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int loop_open(struct supervisor *supervisor)
{
    sigset_t set = taken_signals();
    supervisor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    supervisor->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    supervisor->doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (supervisor->epoll_fd < 0 || supervisor->signal_fd < 0 || supervisor->doorbell_fd < 0)
        return -errno;
    supervisor->epoll_fd = spawn_move_fd(supervisor->epoll_fd);
    supervisor->signal_fd = spawn_move_fd(supervisor->signal_fd);
    supervisor->doorbell_fd = spawn_move_fd(supervisor->doorbell_fd);
    if (supervisor->epoll_fd < 0 || supervisor->signal_fd < 0 || supervisor->doorbell_fd < 0)
        return -EMFILE;
    loop_watch(supervisor, supervisor->signal_fd, LOOP_SIGNAL, 0);
    loop_watch(supervisor, supervisor->doorbell_fd, LOOP_DOORBELL, 0);
    return 0;
}

void loop_watch(struct supervisor *supervisor, int fd, enum loop_source source, unsigned index)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)source << 32 | index};
    epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void take_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;
    char why[160];
    while (read(supervisor->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        switch (info.ssi_signo) {
        case SIGTERM:
        case SIGINT:
            reconcile_stop(supervisor, supervisor->life == LIFE_STOPPING);
            break;
        case SIGQUIT:
            reconcile_stop(supervisor, true);
            break;
        case SIGHUP:
            reconcile_reload(supervisor, -1, why, sizeof why);
            break;
        default: /* taken so that it does not end us */
            break;
        }
    }
}

static void take_event(struct supervisor *supervisor, const struct epoll_event *event)
{
    unsigned index = (unsigned)(event->data.u64 & 0xFFFFFFFF);
    uint64_t rings;
    ssize_t ignored;
    switch ((enum loop_source)(event->data.u64 >> 32)) {
    case LOOP_SIGNAL:
        take_signals(supervisor);
        break;
    case LOOP_DOORBELL:
        ignored = read(supervisor->doorbell_fd, &rings, sizeof rings);
        (void)ignored;
        break;
    case LOOP_CHILD:
        slot_reap(&supervisor->slots[index]);
        break;
    case LOOP_CONTROL:
        control_accept(supervisor);
        break;
    case LOOP_CONTROL_CLIENT:
        control_read(supervisor, index);
        break;
    }
}

int loop_run(struct supervisor *supervisor)
{
    uint64_t last_ns = clock_now_ns(), next_ns = last_ns;
    for (;;) {
        struct epoll_event events[16];
        int wait_ms = clock_ms_until(next_ns, clock_now_ns(), 1000);
        int n = epoll_wait(supervisor->epoll_fd, events, 16, wait_ms);
        for (int i = 0; i < n; i++)
            take_event(supervisor, &events[i]);
        uint64_t now_ns = clock_now_ns();
        /* Counted from the last pass, so that a pause in the middle of one is seen as well. */
        reconcile_notice_pause(supervisor, next_ns > last_ns ? next_ns : last_ns, now_ns);
        next_ns = reconcile(supervisor, now_ns);
        last_ns = now_ns;
        if (next_ns == 0)
            return supervisor->exit_code;
    }
}
