/* SPDX-License-Identifier: MIT */
/*
 * The profiles: what each sends, for how long, beside what, and which thresholds come with it.
 * A profile is a row of a table and, for those with phases, how the phases are laid. Pure.
 */
#ifndef BULKHEAD_LOADTEST_PROFILE_H
#define BULKHEAD_LOADTEST_PROFILE_H

#include <stdbool.h>

#include "tools/loadtest/plan.h"
#include "tools/loadtest/slow_clients.h"

enum shape {
    SHAPE_FLAT,
    SHAPE_CLOSED, /* the next request is sent when the answer came */
    SHAPE_RAMP,   /* steps, each a phase, until one breaks */
    SHAPE_SPIKE,  /* before, spike, after */
    SHAPE_SOAK,   /* equal parts, to see a drift between them */
};

enum spike_phase { SPIKE_BEFORE, SPIKE_ITSELF, SPIKE_AFTER, SPIKE_PHASES };

/* "before", "spike", "after". */
const char *spike_phase_name(unsigned phase);

#define SOAK_PARTS         10u
#define PROFILE_THRESHOLDS 3

struct profile {
    const char *name;
    enum shape shape;
    double rate; /* SHAPE_RAMP: of the last step; SHAPE_SPIKE: before and after */
    double duration_s;
    const char *mix;
    unsigned connections;
    double probe_read, probe_health; /* requests/s beside the load, measured apart */
    unsigned slow[SLOW_KINDS];
    bool allow_429;
    const char *thresholds[PROFILE_THRESHOLDS]; /* NULL behind the last */
};

/* NULL when there is none of this name. */
const struct profile *profile_find(const char *name);

/* For a message to people. */
#define PROFILE_NAMES "baseline, peak, ramp, spike, soak, login-flood, slow-clients, closed"

struct profile_settings {
    double rate, duration_s;
    double step_rate, step_s; /* ramp */
    double factor;            /* spike */
};

/* Lay the phases of a profile that has some; *duration_ns becomes their sum (a ramp that reaches
 * its last step sooner), or the duration of a profile without. Returns their number, 0 for a
 * profile without phases, -E2BIG when they are more than `size`, -EINVAL when the ramp has no step
 * within its rate or duration. */
int profile_phases(const struct profile *profile, const struct profile_settings *settings,
                   struct plan_phase *phases, unsigned size, uint64_t *duration_ns);

#endif
