/* SPDX-License-Identifier: MIT */
/*
 * Wanted against actual. The only place that spawns, signals and kills; everything else records
 * what happened or decides what it means.
 */
#ifndef BULKHEAD_RECONCILE_H
#define BULKHEAD_RECONCILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct supervisor;

/* Prepare the slots; nothing is started before the first reconcile(). */
void reconcile_init(struct supervisor *supervisor);

/* Bury, judge, start, stop, publish. Returns when it wants to be called again at the latest
 * (monotonic ns), 0 when the life is over. */
uint64_t reconcile(struct supervisor *supervisor, uint64_t now_ns);

/* The loop woke later than it asked to: if that was long, heartbeats are stale by our own fault. */
void reconcile_notice_pause(struct supervisor *supervisor, uint64_t expected_ns, uint64_t now_ns);

/* Stop: when everything is answered, or at once. */
void reconcile_stop(struct supervisor *supervisor, bool at_once);

/* Replace workers one by one (only_slot -1: all) with a fresh configuration. False with a reason
 * when that cannot begin. */
bool reconcile_reload(struct supervisor *supervisor, int only_slot, char *why, size_t why_size);

/* One worker slot: start a successor and retire it; or retire it and leave it empty. */
bool reconcile_restart(struct supervisor *supervisor, unsigned slot, char *why, size_t why_size);
bool reconcile_drain(struct supervisor *supervisor, unsigned slot, char *why, size_t why_size);

#endif
