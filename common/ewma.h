/* SPDX-License-Identifier: MIT */
/*
 * How long a call takes, as an exponentially weighted mean, and what follows from it for somebody
 * who waits. Pure; no clock, no lock. A mean of its own is the owner's to guard.
 */
#ifndef BULKHEAD_EWMA_H
#define BULKHEAD_EWMA_H

#include <stdint.h>

#define EWMA_SHARE 8 /* a new value moves the mean by one eighth of the difference */

/* The mean after one more value; 0 means that there was none yet. Never 0 afterwards. */
static inline uint64_t ewma_add(uint64_t mean, uint64_t value)
{
    uint64_t next = mean == 0 ? value : mean - mean / EWMA_SHARE + value / EWMA_SHARE;
    return next > 0 ? next : 1;
}

/* How long the last of so many that wait will wait when `permits` run at once. */
static inline uint64_t ewma_wait_ns(uint64_t mean_ns, uint64_t queued, uint64_t permits)
{
    return permits == 0 || (queued > 0 && mean_ns > UINT64_MAX / queued)
               ? UINT64_MAX
               : queued * mean_ns / permits;
}

#endif
