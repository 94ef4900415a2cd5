/* SPDX-License-Identifier: MIT */
/*
 * Processes a drill starts: in groups of their own, so that a Ctrl-C meets the drill alone, and
 * signalled when the drill dies. The drill is the reaper of their orphans too (a killed
 * supervisor's workers), so it can wait for all and none is left.
 */
#ifndef BULKHEAD_DRILL_PROCESS_H
#define BULKHEAD_DRILL_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_setup {
    const char *const *words; /* ends with NULL; [0] is the path */
    const char *input;        /* stdin is this text; NULL: /dev/null */
    const char *output;       /* file for stdout and stderr, appended to */
    int death_signal;         /* what it gets when the drill dies */
    unsigned descriptors;     /* its RLIMIT_NOFILE; 0: ours */
};

/* Once, before the first child: orphans come to this process. */
void process_adopt_orphans(void);

/* The pid, or a negative errno. */
pid_t process_start(const struct process_setup *setup);

/* A child of this program that runs a function until it is killed. */
pid_t process_fork(void (*run)(const void *), const void *argument);

/* Reap one child that has ended, orphans included: its pid and status; 0 when none has. */
pid_t process_reap(int *status);

/* End every child there is, by SIGKILL after `patience_ms`, and reap them all. Returns how many
 * had to be killed. */
unsigned process_end_all(unsigned patience_ms);

/* The last line with something in it of a file that processes wrote; "" when there is none. */
void process_last_line(const char *path, char *out, size_t size);

/* The directory this program lies in: its sisters are there. */
void process_sister(const char *name, char *out, size_t size);

#endif
