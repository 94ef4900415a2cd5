/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's one loop: it sleeps in epoll until a signal, the end of a child, a doorbell, a
 * control client or the nearest deadline, records what happened, and lets reconcile() act. Nothing
 * in it blocks.
 */
#ifndef BULKHEAD_LOOP_H
#define BULKHEAD_LOOP_H

struct supervisor;

enum loop_source {
    LOOP_SIGNAL,
    LOOP_DOORBELL,
    LOOP_CHILD, /* index: slot */
    LOOP_CONTROL,
    LOOP_CONTROL_CLIENT, /* index: client */
};

/* Block the signals the loop takes, before anything that must not be interrupted half-way. */
void loop_block_signals(void);

/* Make epoll, signalfd and doorbell. 0 or negative errno. */
int loop_open(struct supervisor *supervisor);

/* Wake up when fd is readable. It is forgotten when fd is closed. */
void loop_watch(struct supervisor *supervisor, int fd, enum loop_source source, unsigned index);

/* Until the life is over; returns the exit code. */
int loop_run(struct supervisor *supervisor);

#endif
