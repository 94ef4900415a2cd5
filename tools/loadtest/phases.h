/* SPDX-License-Identifier: MIT */
/*
 * What became of each phase of a plan. A request belongs to the phase it was intended in, however
 * late its answer. Owns its numbers; no I/O.
 */
#ifndef BULKHEAD_LOADTEST_PHASES_H
#define BULKHEAD_LOADTEST_PHASES_H

#include <stdbool.h>

#include "tools/loadtest/statistics.h"

struct phase {
    double rate;
    uint64_t from_ns, duration_ns; /* exact: a plan ends when its last phase does */
    uint64_t sent, ok, failed;
    uint64_t slow; /* succeeded, and took longer than `slow_us` of the phases */
    struct failures failures;
    struct histogram_sum latency_us; /* of those that succeeded, from the intended time */
    uint64_t max_latency_us;
};

struct phases {
    struct phase *all;
    unsigned count;
    uint64_t slow_us;
};

/* A phase for each of the plan's, or one for all of it. */
struct phases *phases_open(const struct plan_settings *plan, double slow_ms);
void phases_close(struct phases *phases);

void phases_sent(struct phases *phases, unsigned index);
void phases_ended(struct phases *phases, unsigned index, const struct outcome *outcome,
                  uint64_t latency_ns);

/* True when its time has passed, so long after the start: nothing more will be sent in it. */
bool phase_is_over(const struct phase *phase, uint64_t elapsed_ns);

/* For people and curves. */
double phase_from_s(const struct phase *phase);
double phase_duration_s(const struct phase *phase);

/* NaN when nothing succeeded. */
double phase_latency_ms(const struct phase *phase, double percent);

/* failed / (ok + failed), 0 when there are none. */
double phase_error_rate(const struct phase *phase);

/* The requests that the plan has for it (expected ones, when arrivals are random). */
double phase_planned(const struct phase *phase);

#endif
