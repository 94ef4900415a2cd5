/* SPDX-License-Identifier: MIT */
/*
 * Whether a living child hangs, from what it writes into its slot. It reads and decides; killing is
 * slots.c's. A thread that waits for its client is never evidence, and while the disk is slow or
 * gone for everybody, waiting for it is not either: by the verdict, or because at least half of the
 * workers, and more than one, wait for it beyond their deadlines at once. (One worker alone has
 * nobody to be compared with but the sentinel: whoever is stuck while that is well is replaced.)
 */
#ifndef BULKHEAD_HANG_H
#define BULKHEAD_HANG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/labels.h"

struct slot;
struct slot_record;
struct supervisor;

struct hang {
    enum death_class death; /* hung; local_db_fault when its database answers everybody but it */
    uint32_t cell;          /* of the thread that is stuck; NO_CELL: none is known */
    char text[120];
};

#define DISTRUST_NS (2 * NS_PER_S) /* after this machine or this process stood still */

/* In every pass, before anybody is judged: is it the fleet and not the worker? Is more than half of
 * it stale at once, is half of it stuck in the database (says so once)? */
void hang_watch_fleet(struct supervisor *supervisor, uint64_t now_ns);

/* It is, or was within the last 2 s. */
bool hang_fleet_is_stalled(const struct supervisor *supervisor, uint64_t now_ns);

/* True, with the evidence, when the child hangs. */
bool hang_found(const struct supervisor *supervisor, const struct slot_record *record,
                const struct slot *slot, uint64_t now_ns, struct hang *hang);

#endif
