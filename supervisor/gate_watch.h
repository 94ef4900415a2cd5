/* SPDX-License-Identifier: MIT */
/*
 * Is the gate broken? Pure: it is shown what the slots say at each tick and keeps count of time.
 *
 * A gate that nobody holds is free: whoever waits for it gets it within microseconds. So when
 * processes wait, nobody says that he holds it and nobody commits for 2 s on end, the mutex itself
 * is at fault: overwritten, or given up as not recoverable (common/db/gate.h).
 */
#ifndef BULKHEAD_GATE_WATCH_H
#define BULKHEAD_GATE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define GATE_STALL_NS (2 * UINT64_C(1000000000))

/* What the living processes say at one moment. */
struct gate_sight {
    unsigned waiting; /* processes marked WAITING */
    bool held;        /* one is marked HOLDING or IN_COMMIT */
    uint64_t commits; /* of all, ever */
};

/* All zero: nothing was seen yet. */
struct gate_watch {
    uint64_t look_ns;   /* of the last look */
    uint64_t waiter_ns; /* when a waiter was last seen */
    uint64_t stalled_ns;
    uint64_t commits;
    bool stalling;
};

/* Take in one look; true when the gate must be made anew. */
bool gate_watch_look(struct gate_watch *watch, const struct gate_sight *sight, uint64_t now_ns);

#endif
