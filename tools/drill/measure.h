/* SPDX-License-Identifier: MIT */
/*
 * Numbers out of evidence: over a window of time, as expressions ask for them. Pure.
 *
 *   METRIC        from the samples: the last one at or before each end of the window
 *   load.* load2.*  members of loadtest's summary.json, of the whole run
 *   rows.*        loadtest's seconds that lie in the window: sent ok failed seconds (sums),
 *                 failed_share (not measured when none ended), p95_ms (the worst second),
 *                 p95_median_ms
 *   health.*      the drill's own looks at /health: sent failed refused degraded failing p50_ms
 *                 p95_ms p99_ms max_ms (a look without an answer took 2 s at least)
 *   events.NAME   events of that name
 *   board.*       min_ready max_quarantined max_breakers max_degraded
 *   detect.*_s    degraded verdict breaker event first_failure: seconds since the fault
 *   step.N.EVENT_s  seconds from the N-th step of the method (from 1, by time) to that event
 *   drill.*       respawn_max_s (from a worker's death to its successor's being ready),
 *                 orphans_gone_s (from the supervisor's death to that of the last orphan),
 *                 recover_s error_share leakage_points counters_back seconds
 */
#ifndef BULKHEAD_DRILL_MEASURE_H
#define BULKHEAD_DRILL_MEASURE_H

#include "tools/drill/evidence.h"

struct measure {
    const struct evidence *evidence;
    uint64_t from_ns, to_ns;
    double leakage_points, recover_s; /* found before expressions are asked */
};

/* An expression_resolve; argument is a struct measure. */
double measure_term(void *argument, const struct node *term);

/* Index of the last sample at or before a time; 0 when all are later. */
size_t measure_sample_at(const struct evidence *evidence, uint64_t t_ns);

/* Share of data requests (auth, read, write) that failed in the window: 5xx and lost of all. NaN
 * when there were none. */
double measure_error_share(const struct evidence *evidence, uint64_t from_ns, uint64_t to_ns);

/* Data requests answered or lost in the window. */
double measure_requests(const struct evidence *evidence, uint64_t from_ns, uint64_t to_ns);

/* Seconds from `since_ns` to the first time of each; NaN when it never came. */
double measure_first_degraded(const struct evidence *evidence, uint64_t since_ns);
double measure_first_verdict(const struct evidence *evidence, uint64_t since_ns);
double measure_first_event(const struct evidence *evidence, uint64_t since_ns, const char *name);
double measure_first_failure(const struct evidence *evidence, uint64_t since_ns);

/* Seconds from since_ns to the end of the first window of 1 s with less than 1 % errors and at
 * least half the usual rate. NaN when it never came. */
double measure_recovery(const struct evidence *evidence, uint64_t since_ns);

/* Looks at /health that were lost or refused, as a share of those sent in the window. */
double measure_health_failed_share(const struct evidence *evidence, uint64_t from_ns,
                                   uint64_t to_ns);

/* Percentile of the looks in the window, ms; NaN when there were none. One that was lost or refused
 * counts as LOOK_GIVE_UP_NS at least: whoever asked has no answer by then. */
double measure_health_ms(const struct evidence *evidence, uint64_t from_ns, uint64_t to_ns,
                         double percent);

#endif
