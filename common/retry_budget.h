/* SPDX-License-Identifier: MIT */
/*
 * The retry budget of one worker: within the last 10 s at most one retry is taken for every five
 * first attempts. Retries then multiply the load by 1.2 at most, however many attempts clients make
 * and at however many layers; a storm of retries is refused before any first attempt is.
 * A refused retry earns nothing, else a storm would pay for itself. Below 50 arrivals in the
 * window all pass: a share of a few requests says nothing.
 *
 * Pure: the clock is passed in. The caller locks.
 */
#ifndef BULKHEAD_RETRY_BUDGET_H
#define BULKHEAD_RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_BUDGET_SECONDS      10
#define RETRY_BUDGET_MIN_ARRIVALS 50
#define RETRY_BUDGET_PERCENT      20

struct retry_budget_count {
    uint64_t arrivals; /* all, the refused ones too */
    uint64_t firsts;   /* first attempts */
    uint64_t taken;    /* retries that were not refused */
};

struct retry_budget {
    uint64_t second; /* of the newest bucket */
    struct retry_budget_count bucket[RETRY_BUDGET_SECONDS];
    struct retry_budget_count total; /* of all buckets */
};

/* Count an arrival. False: a retry beyond the budget, refuse it. All zeros is a fresh budget. A
 * clock that goes back counts in the newest second. */
bool retry_budget_take(struct retry_budget *budget, bool is_retry, uint64_t now_ns);

#endif
