/* SPDX-License-Identifier: MIT */
/*
 * What every child of the supervisor does first, and how it speaks to it: descriptors at fixed
 * numbers, one argument, its slot in the region. It owns the child's heartbeat and phase; it
 * decides nothing.
 */
#ifndef BULKHEAD_CHILD_H
#define BULKHEAD_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/region.h"

/* Descriptors a child finds open besides 0, 1 and 2. */
enum child_fd {
    CHILD_FD_REGION = 3,
    CHILD_FD_DOORBELL = 4,  /* eventfd: wakes the supervisor */
    CHILD_FD_LOCK = 5,      /* DATADIR/lock, held until the last child is gone */
    CHILD_FD_LISTENERS = 6, /* the first of header.listener_count; the console: its own,
                               then those */
};

/* The argument: --child SLOT,GENERATION,SUPERVISOR_PID,RIGHTS */
#define CHILD_ARGUMENT "--child"

struct child {
    struct region *region;
    struct slot *slot;
    unsigned slot_index;
    uint32_t generation;
    pid_t supervisor_pid;
    struct config config; /* this process's copy */
    int signal_fd;        /* readable when SIGTERM came */
};

/* Read the argument, map the region, copy the configuration, block signals (TERM goes to
 * signal_fd, INT QUIT HUP USR1 TTIN TTOU PIPE are ignored), open the log as `process`.
 * Ends the process with 78 and a line when it was not started by a supervisor, 70 when the region
 * is of another build. */
void child_enter(struct child *child, const char *process, int argc, char **argv);

/* Say how far it is; rings the doorbell. */
void child_set_phase(struct child *child, enum child_phase phase);

/* Once every 100 ms, from the thread whose health stands for the process's. */
void child_heartbeat(struct child *child);

/* Wait for SIGTERM or the end of one heartbeat interval (100 ms), then beat; faults meant for `now`
 * strike here.
 * True when SIGTERM came. */
bool child_wait(struct child *child);

/* The same for at most so many milliseconds, for who has work to go on with. */
bool child_wait_ms(struct child *child, int limit_ms);

/* True when the supervisor that started this process is gone. */
bool child_is_orphan(const struct child *child);

/* What this slot is asked to do. */
enum slot_order child_order(const struct child *child);

/* Tell the supervisor of an event (copied into its ring and log); never blocks. */
void child_report(struct child *child, enum event_type type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Leave last words in the slot, log them, and exit. */
_Noreturn void child_give_up(struct child *child, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
