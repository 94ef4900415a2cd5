/* SPDX-License-Identifier: MIT */
/*
 * The runner's one loop: signals and children, samples, looks at /health, the heartbeat of faults,
 * and the method's steps, each at its time. runner.c says what phase it is and when that ends.
 */
#ifndef BULKHEAD_DRILL_TURN_H
#define BULKHEAD_DRILL_TURN_H

#include "tools/drill/acts.h"
#include "tools/drill/house.h"
#include "tools/drill/load.h"
#include "tools/drill/prober.h"
#include "tools/drill/remote.h"
#include "tools/drill/runner.h"
#include "tools/drill/sampler.h"

struct runner {
    const struct runner_options *options;
    const struct spec *spec;
    struct evidence *evidence;
    struct house house;
    struct remote remote;
    struct sampler *sampler;
    struct prober *prober;
    struct load load[SPEC_LOADS];
    pid_t checker; /* the process that reads the database through; 0 none */
    int checker_status, supervisor_status;
    struct acts acts;
    const char *phase;
    unsigned step; /* under way, from 1; 0 none */
    unsigned interrupts;
    bool stopping, reopening, supervisor_may_end;
    uint64_t sample_ns, beat_ns, tail_ns; /* when each is due */
    unsigned done[SPEC_STEPS];            /* times each step was done */
    unsigned fault_id[SPEC_STEPS];
};

/* Write into the timeline. */
void turn_tell(struct runner *runner, bool failed, const char *text);

/* Connect to the server that is meant, and not to its predecessor's orphans. */
bool turn_open_server(struct runner *runner);

/* Do an act now that no method has. False when it failed: the drill is over. */
bool turn_act(struct runner *runner, const struct spec_step *step);

/* Wait for the next thing, at most until then, and do it. False when the drill is over. */
bool turn(struct runner *runner, uint64_t until_ns);

/* Turn until then. False when the drill is over. */
bool turn_until(struct runner *runner, const char *phase, uint64_t until_ns);

#endif
