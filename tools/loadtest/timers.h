/* SPDX-License-Identifier: MIT */
/*
 * Things that are due at a time: a binary heap. Pure; it owns its array, not the things.
 */
#ifndef BULKHEAD_LOADTEST_TIMERS_H
#define BULKHEAD_LOADTEST_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct timer {
    uint64_t due_ns;
    void *thing;
};

struct timers {
    struct timer *heap;
    size_t count, capacity;
};

void timers_add(struct timers *timers, uint64_t due_ns, void *thing);

/* The thing that is due first if it is due by now, taken out; else NULL. */
void *timers_take(struct timers *timers, uint64_t now_ns);

/* When the first is due; UINT64_MAX when there is none. */
uint64_t timers_next_ns(const struct timers *timers);

void timers_free(struct timers *timers);

#endif
