/* SPDX-License-Identifier: MIT */
/*
 * The ramp: step by step more load, until a step breaks a limit. The knee is the rate of the last
 * step before that one. Pure.
 *
 * A step is judged when every request that was intended in it has its end, or sooner when it
 * cannot hold any more whatever the rest does: a server past its knee is not made to suffer for
 * the sake of a round number.
 */
#ifndef BULKHEAD_LOADTEST_RAMP_H
#define BULKHEAD_LOADTEST_RAMP_H

#include <stdbool.h>

#include "tools/loadtest/phases.h"

#define RAMP_P95_MS     300.0
#define RAMP_ERROR_RATE 0.03

enum step_verdict {
    STEP_PENDING, /* not all of its requests have their end */
    STEP_HOLDS,
    STEP_SLOW,    /* p95 above RAMP_P95_MS */
    STEP_FAILING, /* errors above RAMP_ERROR_RATE */
};

/* `over`: the step's time has passed, nothing more will be sent in it. The phase counts as slow
 * what took longer than RAMP_P95_MS. */
enum step_verdict ramp_judge(const struct phase *step, bool over);

const char *step_verdict_name(enum step_verdict verdict);

struct ramp {
    unsigned holds;   /* steps that hold, from the first on */
    bool broke;       /* the step after them does not */
    double knee_rate; /* of the last that holds; 0 when the first breaks */
};

/* Look at all steps, `over` by the time elapsed since the start. */
struct ramp ramp_conclude(const struct phases *steps, uint64_t elapsed_ns);

#endif
