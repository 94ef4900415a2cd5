/* SPDX-License-Identifier: MIT */
/*
 * A bound for calls into SQLite that have no handler of their own: a checkpoint and the pages of a
 * quick_check ask nobody while they run, but both stop at sqlite3_interrupt. A timer signal calls
 * it, which is an atomic store (sqlite.org/c3ref/interrupt.html allows it from elsewhere).
 * One alarm at a time, in a process with one thread. A call that is cut returns SQLITE_INTERRUPT;
 * an fsync is never cut (SA_RESTART).
 */
#ifndef BULKHEAD_SENTINEL_ALARM_H
#define BULKHEAD_SENTINEL_ALARM_H

#include <sqlite3.h>
#include <stdint.h>

#include "common/child.h"

/* Cut what runs on db after limit_ns. */
void alarm_set(sqlite3 *db, uint64_t limit_ns);

/* Cut it also when SIGTERM waits or the board's epoch is no longer `epoch`, looking every 50 ms;
 * beat the heart until then. The limit ends the beating too, so what hangs is still found out. */
void alarm_set_beating(sqlite3 *db, uint64_t limit_ns, struct child *child, uint64_t epoch);

/* The call has returned. */
void alarm_clear(void);

#endif
