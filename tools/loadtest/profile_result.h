/* SPDX-License-Identifier: MIT */
/*
 * What a profile is run for: the knee of a ramp, the recovery after a spike, the drift of a soak,
 * what the probes saw, what became of slow clients. Gathered during the run, concluded after it.
 */
#ifndef BULKHEAD_LOADTEST_PROFILE_RESULT_H
#define BULKHEAD_LOADTEST_PROFILE_RESULT_H

#include "tools/loadtest/options.h"
#include "tools/loadtest/phases.h"
#include "tools/loadtest/ramp.h"
#include "tools/loadtest/recovery.h"
#include "tools/loadtest/soak.h"

struct profile_result {
    struct phases *phases;
    struct recovery *recovery; /* SHAPE_SPIKE, else NULL */
    struct slow_counts slow[SLOW_KINDS];

    /* concluded; of other shapes 0 or NaN */
    struct ramp ramp;
    double recovered_s;   /* NaN: not within after_spike_s */
    double after_spike_s; /* how long the load went on after the spike; negative: not so far */
    bool recovery_measured;
    struct drift drift;
};

void profile_result_open(struct profile_result *result, const struct options *options);
void profile_result_close(struct profile_result *result);

/* A measured request of the load has its end. */
void profile_result_note(struct profile_result *result, unsigned phase, uint64_t offset_ns,
                         const struct outcome *outcome, uint64_t latency_ns);

/* sending_ns: how long the load was sent. */
void profile_result_conclude(struct profile_result *result, const struct options *options,
                             uint64_t sending_ns);

/* The first line that a reader wants: "knee 850 requests/s: at 900 p95 was 412 ms"; "" for profiles
 * that have none. */
#define PROFILE_LINE 200
void profile_result_line(const struct profile_result *result, const struct options *options,
                         char out[PROFILE_LINE]);

#endif
