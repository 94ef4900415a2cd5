/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and memory this process holds for faults of kind resource (common/fault.c): it takes
 * and gives back, a bounded piece at a time, and decides nothing. What the system refuses is not
 * held; it is asked for again at the next look. One caller at a time.
 */
#ifndef BULKHEAD_FAULT_HOLD_H
#define BULKHEAD_FAULT_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct fault_hold_goal {
    unsigned fds_permille; /* of RLIMIT_NOFILE, what the process has for itself included */
    uint64_t kib;          /* written to, so that they are resident */
};

/* A bit (1 << enum fault_of) for what the goal asks more of than there is. */
uint32_t fault_hold_lacks(const struct fault_hold_goal *goal);

/* One step nearer to the goal. Descriptors stay until the goal is none: as their share is of all
 * the process has, what it lets go of itself would else be taken, and what it opens made room for.
 */
void fault_hold_towards(const struct fault_hold_goal *goal);

bool fault_hold_has_any(void);

#endif
