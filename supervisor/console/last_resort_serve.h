/* SPDX-License-Identifier: MIT */
/*
 * The last resort's sockets: accepts on the public listeners while last_resort.h says so, reads a
 * head, sends one answer, lets go. It owns at most LAST_RESORT_GUESTS connections at a time, in an
 * epoll set of its own that the console's main thread waits on: whoever floods it waits for one of
 * those places in the kernel's queue. It shares no thread, no place and no limit with the door, so
 * the console's own clients do not notice it; and a hang of it is one of the console's heartbeat.
 *
 * One a process. Main thread only.
 */
#ifndef BULKHEAD_LAST_RESORT_SERVE_H
#define BULKHEAD_LAST_RESORT_SERVE_H

#include <stdbool.h>

#include "common/child.h"

#define LAST_RESORT_GUESTS 64

/* 0 or negative errno. The first of the child's listeners is its own, the rest are public. */
int last_resort_open(struct child *child);

/* Decide, then wait up to limit_ms for something to do (or for a signal to the child) and do it: of
 * those who are new at most LAST_RESORT_GUESTS a listener, however many there are. */
void last_resort_step(int limit_ms);

/* Accept no more, for good. */
void last_resort_leave(void);

/* Connections that are not finished. */
unsigned last_resort_guests(void);

#endif
