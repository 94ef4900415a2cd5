/* SPDX-License-Identifier: MIT */
/*
 * Whether a living child hangs, from what it writes into its slot. It reads and decides; killing is
 * slots.c's. A thread that waits for its client is never evidence, and while the disk is slow or
 * gone for everybody, waiting for it is not either.
 */
#ifndef BULKHEAD_HANG_H
#define BULKHEAD_HANG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/labels.h"

struct slot;
struct slot_record;
struct supervisor;

struct hang {
    enum death_class death; /* hung; local_db_fault when its database answers everybody but it */
    uint32_t cell;          /* of the thread that is stuck; NO_CELL: none is known */
    char text[120];
};

/* True, with the evidence, when the child hangs. */
bool hang_found(const struct supervisor *supervisor, const struct slot_record *record,
                const struct slot *slot, uint64_t now_ns, struct hang *hang);

#endif
