/* SPDX-License-Identifier: MIT */
/* What stood on the command line and needs the profile, or other options, to be understood. */
#ifndef BULKHEAD_LOADTEST_OPTIONS_GIVEN_H
#define BULKHEAD_LOADTEST_OPTIONS_GIVEN_H

#include "tools/loadtest/options.h"

/* 0 or NULL: not given. */
struct given {
    double rate, duration_s, step_rate, step_s, factor, probe_read, probe_health;
    int slow[SLOW_KINDS]; /* -1: not given */
    unsigned connections;
    const char *mix, *profile;
    const char *thresholds[THRESHOLD_LIMIT];
    unsigned threshold_count;
    bool attempts, arrivals, no_probe_read, no_probe_health;
};

/* Fill in what is not said, and end the process with 78 when things do not go together. */
void options_settle(struct options *options, const struct given *given);

#endif
