/* SPDX-License-Identifier: MIT */
/*
 * The drift of a long run: what its p95 does from part to part. A leak, a growing file or a list
 * that is searched from its beginning shows as a slope long before it shows as an error. Pure.
 */
#ifndef BULKHEAD_LOADTEST_SOAK_H
#define BULKHEAD_LOADTEST_SOAK_H

#include "tools/loadtest/phases.h"

struct drift {
    double first_p95_ms, last_p95_ms; /* of the first and last part that has one */
    double slope_ms_per_hour;         /* the straight line with the least squares through all */
};

/* NaN where fewer than two parts have a p95. */
struct drift soak_drift(const struct phases *parts);

#endif
