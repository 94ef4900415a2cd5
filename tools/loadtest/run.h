/* SPDX-License-Identifier: MIT */
/*
 * The run itself: preparation (items to read), the load by plan or by answers, and the wait for the
 * last answers.
 */
#ifndef BULKHEAD_LOADTEST_RUN_H
#define BULKHEAD_LOADTEST_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/loadtest/engine.h"
#include "tools/loadtest/options.h"
#include "tools/loadtest/profile_result.h"
#include "tools/loadtest/report.h"
#include "tools/loadtest/session.h"

struct run {
    const struct options *options;
    struct engine *engine;
    struct accounts *accounts;
    struct ledger *ledger;
    struct statistics *statistics;
    struct report *report;
    struct profile_result *profile;

    struct plan plan;
    struct plan probes[LOAD_KINDS];
    unsigned judged; /* steps of a ramp */
    uint64_t start_ns;
    uint64_t start_wall_us;
    uint64_t stop_ns;    /* when sending ended: by plan, or by Ctrl-C */
    uint64_t finish_ns;  /* when the last answer was in */
    uint64_t cpu_ns;     /* processor time of this thread until sending ended */
    uint64_t starved_ns; /* time in which it could have run and had no processor, likewise */
    uint64_t in_flight;  /* of the load; after run_load: those that a second Ctrl-C left */
    uint64_t probes_in_flight;
    bool interrupted; /* while it sent or waited for answers */
};

/* Create the items that reads will ask for, if any will, patiently. 0, -EINTR, or -EIO with
 * *outcome. */
int run_prepare(struct run *run, struct outcome *outcome);

/* Send the load and wait for the answers. The outcome is in statistics and ledger. */
void run_load(struct run *run);

#endif
