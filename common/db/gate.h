/* SPDX-License-Identifier: MIT */
/*
 * The gate: one robust, process-shared mutex that every writer of app.db takes before BEGIN
 * IMMEDIATE, and the keeper before it checkpoints. It does what SQLite's busy handler does not:
 * writers of several processes get their turns (facts in docs/architecture.md). The holder marks
 * its slot, so that the supervisor can name it.
 */
#ifndef BULKHEAD_GATE_H
#define BULKHEAD_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/region.h"

/* Make the mutex. Only the supervisor, while nobody uses it. */
void gate_init(struct gate *gate);

/* Take the gate, at the latest at deadline_ns (monotonic). Marks `slot` WAITING, then HOLDING.
 * 0 taken; 1 taken from a process that died with it (BEGIN may see BUSY for some ms);
 * -ETIMEDOUT not taken; -ENOTRECOVERABLE or -EINVAL: the gate is broken; the slot stays marked
 * WAITING, and a gate without a holder but with waiters is what the supervisor makes anew. */
int gate_lock(struct gate *gate, struct slot *slot, uint64_t deadline_ns);

/* The same without waiting: -EBUSY when it is held. */
int gate_try(struct gate *gate, struct slot *slot);

/* Mark that COMMIT is being called (a hang here may be the disk's, not ours). */
void gate_mark_commit(struct slot *slot);

/* The holder comes along with what it does in the gate: since now, not since it took it, does it do
 * nothing that can be seen. Without effect on who does not hold it, or is in COMMIT. */
void gate_mark_progress(struct slot *slot);

/* Let go. A mutex that was written over meanwhile leaves the slot marked WAITING, as above. */
void gate_unlock(struct gate *gate, struct slot *slot);

#endif
