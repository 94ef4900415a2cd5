/* SPDX-License-Identifier: MIT */
/*
 * Deadlines as numbers: pure, all times monotonic nanoseconds. A deadline counts from the first
 * byte of a request, so what a request has waited anywhere is gone from it.
 */
#ifndef BULKHEAD_DEADLINE_H
#define BULKHEAD_DEADLINE_H

#include <stdint.h>

#include "common/clock.h"

#define DEADLINE_QUERY_NS (5 * NS_PER_S) /* no query runs longer, whatever its request has left */

/* asked_ms: X-Request-Timeout-Ms, 0 when the client did not ask; it can only shorten. */
static inline uint64_t deadline_from(uint64_t first_byte_ns, uint64_t class_ms, uint64_t asked_ms)
{
    uint64_t ms = asked_ms > 0 && asked_ms < class_ms ? asked_ms : class_ms;
    return first_byte_ns + ms * NS_PER_MS;
}

static inline uint64_t deadline_left_ns(uint64_t deadline_ns, uint64_t now_ns)
{
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

/* Of work that starts now and has limit_ns of its own: never beyond the deadline it is done under.
 */
static inline uint64_t deadline_within(uint64_t deadline_ns, uint64_t now_ns, uint64_t limit_ns)
{
    return deadline_left_ns(deadline_ns, now_ns) < limit_ns ? deadline_ns : now_ns + limit_ns;
}

/* When a query that starts now must end. */
static inline uint64_t deadline_of_query(uint64_t deadline_ns, uint64_t now_ns)
{
    return deadline_within(deadline_ns, now_ns, DEADLINE_QUERY_NS);
}

#endif
