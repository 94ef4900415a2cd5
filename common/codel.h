/* SPDX-License-Identifier: MIT */
/*
 * CoDel's test for a standing queue (Nichols and Jacobson, Controlling Queue Delay, 2012; RFC 8289,
 * section 3.2), on the age of the oldest request that waits: a burst empties again within an
 * interval, a queue whose oldest was never younger than the target for a whole interval does not.
 * It owns the verdict "overloaded", not the queue, and not who is refused (overload.h).
 *
 * The age of the oldest and not the wait of those that are served, because an overloaded class is
 * served newest first: whoever is served then has not waited. Who waits longer than the target is
 * refused then, so the oldest is never much older: leaving the state asks for half of the target.
 *
 * Pure: the clock is passed in.
 */
#ifndef BULKHEAD_CODEL_H
#define BULKHEAD_CODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

#define CODEL_TARGET_NS   (20 * NS_PER_MS)
#define CODEL_INTERVAL_NS (100 * NS_PER_MS)

struct codel {
    uint64_t interval_end_ns; /* 0: the oldest was not above the target when last looked at */
    uint64_t least_ns;        /* in this interval; while overloaded */
    bool overloaded;
};

/* The oldest that waits is so old now; 0 when nobody waits. To be called when the queue becomes
 * empty and while it is not, more often than an interval is long. */
void codel_note(struct codel *codel, uint64_t oldest_ns, uint64_t now_ns);

#endif
