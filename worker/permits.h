/* SPDX-License-Identifier: MIT */
/*
 * Permits: how many calls of one compartment run at once, how many more may wait, how long.
 * First come, first served: a permit that is given back goes to the one who has waited longest.
 * Who would wait longer than he may, as far as can be known from how long calls take, is refused
 * before he waits; the first in line always waits, so that the estimate is never its own proof.
 */
#ifndef BULKHEAD_PERMITS_H
#define BULKHEAD_PERMITS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/metrics.h"

struct permit_waiter;
TAILQ_HEAD(permit_waiters, permit_waiter);

struct permits {
    pthread_mutex_t mutex;
    unsigned free, waiting, waiting_most;
    uint64_t longest_wait_ns;
    unsigned count;
    uint64_t service_ns;                /* mean time a permit is held; 0 unknown */
    uint64_t held_ns, changed_ns;       /* permit-time since one was last given back, until when */
    _Atomic int64_t *inflight, *queued; /* gauges; NULL when somebody else counts the class */
    _Atomic uint64_t *refused;          /* row of counters by enum refusal */
    struct permit_waiters waiters;      /* longest first */
};

enum permit_result {
    PERMIT_TAKEN,
    PERMIT_REFUSED,  /* too many wait already, or it took too long, or would */
    PERMIT_DEADLINE, /* the caller's own time is up */
};

/* numbers: of the slot, counted under `class`; with_gauges false leaves the gauges alone. */
#define PERMITS_NO_LIMIT UINT32_MAX /* of those who wait: then nobody is refused but by deadline \
                                     */
void permits_init(struct permits *permits, struct slot_metrics *numbers, enum request_class class,
                  bool with_gauges, unsigned count, unsigned waiting_most,
                  uint64_t longest_wait_ns);

/* Take one, at the latest at deadline_ns (monotonic). Refusals are counted here. */
enum permit_result permits_take(struct permits *permits, uint64_t deadline_ns);

void permits_give(struct permits *permits);

#endif
