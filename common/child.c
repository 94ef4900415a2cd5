/* SPDX-License-Identifier: MIT */
#include "common/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exit_codes.h"
#include "common/fault.h"
#include "common/log.h"

#define HEARTBEAT_MS 100

static void parse_argument(struct child *child, const char *process, int argc, char **argv,
                           unsigned *rights)
{
    unsigned slot = 0, generation = 0, more;
    int supervisor = 0;
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], CHILD_ARGUMENT) != 0)
            continue;
        if (sscanf(argv[i + 1], "%u,%u,%d,%u%n", &slot, &generation, &supervisor, rights,
                   (int *)&more) == 4 &&
            argv[i + 1][more] == '\0' && slot < SLOTS_MAX) {
            child->slot_index = slot;
            child->generation = generation;
            child->supervisor_pid = supervisor;
            return;
        }
    }
    fprintf(stderr, "%s: started by the supervisor, not by hand; run: supervisor -n 4\n", process);
    exit(EXIT_CONFIGURATION);
}

static void arrange_signals(struct child *child)
{
    static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGTTIN, SIGTTOU, SIGPIPE};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    child->signal_fd = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
}

void child_enter(struct child *child, const char *process, int argc, char **argv)
{
    unsigned rights = 0;
    *child = (struct child){0};
    parse_argument(child, process, argc, argv, &rights);
    arrange_signals(child);
    int error = region_map(CHILD_FD_REGION, (int)child->slot_index, rights, &child->region);
    if (error || !region_read_config(child->region, &child->config)) {
        fprintf(stderr, "%s: cannot use the shared region: %s\n", process,
                error == -EPROTO ? "it was made by another build of the supervisor"
                                 : strerror(error ? -error : EAGAIN));
        exit(EXIT_BUG);
    }
    child->slot = region_slot(child->region, child->slot_index);
    fault_start(child->region, child->slot_index, child->generation);
    log_open(process, (int)child->slot_index, (enum log_level)child->config.log_level,
             &child->slot->metrics.log_dropped[0][0]);
    child->slot->last_words[0] = '\0';
    atomic_store(&child->slot->crashed_cell, 0);
    /* What the process before had in hand is none of ours: it was counted when it was buried. */
    atomic_store(&child->slot->open_requests, 0);
    for (unsigned i = 0; i < CELLS_MAX; i++) {
        atomic_store(&child->slot->cell[i].in_request, 0);
        atomic_store(&child->slot->cell[i].deadline_ns, 0);
        atomic_store(&child->slot->cell[i].stage, STAGE_IDLE);
    }
    atomic_store(&child->slot->pid, (int32_t)getpid());
    atomic_store(&child->slot->gate_stage, GATE_NONE);
    atomic_store(&child->slot->heartbeat_ns, clock_now_ns());
    atomic_store(&child->slot->phase, PHASE_STARTING);
    /* Last: from here on the supervisor takes the slot's words as this process's. */
    atomic_store(&child->slot->generation, child->generation);
}

static void ring_doorbell(void)
{
    uint64_t one = 1;
    /* A full eventfd is a doorbell that rings already. */
    ssize_t ignored = write(CHILD_FD_DOORBELL, &one, sizeof one);
    (void)ignored;
}

void child_set_phase(struct child *child, enum child_phase phase)
{
    if (atomic_exchange(&child->slot->phase, (uint32_t)phase) != (uint32_t)phase)
        ring_doorbell();
}

void child_heartbeat(struct child *child)
{
    atomic_store_explicit(&child->slot->heartbeat_ns, clock_now_ns(), memory_order_relaxed);
}

bool child_wait(struct child *child)
{
    return child_wait_ms(child, HEARTBEAT_MS);
}

bool child_wait_ms(struct child *child, int limit_ms)
{
    struct pollfd signals = {.fd = child->signal_fd, .events = POLLIN};
    bool term = false;
    if (poll(&signals, 1, limit_ms) > 0) {
        struct signalfd_siginfo info;
        while (read(child->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
            term = true;
    }
    child_heartbeat(child);
    fault_strike(FAULT_POINT_NOW);
    fault_hold();
    return term;
}

bool child_is_orphan(const struct child *child)
{
    return getppid() != child->supervisor_pid;
}

enum slot_order child_order(const struct child *child)
{
    return (enum slot_order)atomic_load(&child->region->board.words.order[child->slot_index]);
}

void child_report(struct child *child, enum event_type type, const char *format, ...)
{
    /* Several threads of a process may report; the supervisor reads entries below the head. */
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&one_at_a_time);
    uint64_t head = atomic_load_explicit(&child->slot->outbox_head, memory_order_relaxed);
    struct outbox_event *event = &child->slot->outbox[head % OUTBOX_SIZE];
    event->wall_us = clock_wall_us();
    event->type = (uint32_t)type;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(event->text, sizeof event->text, format, arguments);
    va_end(arguments);
    atomic_store_explicit(&child->slot->outbox_head, head + 1, memory_order_release);
    pthread_mutex_unlock(&one_at_a_time);
    ring_doorbell();
}

void child_give_up(struct child *child, int exit_code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(child->slot->last_words, sizeof child->slot->last_words, format, arguments);
    va_end(arguments);
    log_error("giving_up", "%s", child->slot->last_words);
    /* Other threads may be at work: no handlers, no destructors. */
    _exit(exit_code);
}
