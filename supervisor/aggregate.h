/* SPDX-License-Identifier: MIT */
/*
 * Sums over all slots once a second: rates, percentiles and shares over the last 10 s for the
 * board, and from them the health of the service. It trusts no child: differences are clamped, and
 * a total that fell is counted as corrupt.
 */
#ifndef BULKHEAD_AGGREGATE_H
#define BULKHEAD_AGGREGATE_H

#include <stdint.h>

#include "common/histogram.h"
#include "common/region.h"

struct supervisor;

#define AGGREGATE_SECONDS 10

/* Running totals at one second. */
struct totals {
    uint64_t at_ns;
    uint64_t requests[CLASS_COUNT];
    uint64_t errors[CLASS_COUNT];  /* 500 and 504 */
    uint64_t refused[CLASS_COUNT]; /* 429 and 503 */
    uint64_t lost;
    struct histogram_sum duration[CLASS_COUNT];
};

struct aggregate {
    struct totals ring[AGGREGATE_SECONDS + 1];
    unsigned next, filled;
    uint64_t cpu_ticks, cpu_at_ns; /* of the fleet, at the last second */
};

/* Once a second: fill board->class, total, cpu, listeners. */
void aggregate_step(struct supervisor *supervisor, uint64_t now_ns);

/* Pure: status, reason and load of a board whose other fields are set. */
void aggregate_judge(struct board *board);

#endif
