/* SPDX-License-Identifier: MIT */
/*
 * The retry budget of one worker: within the last 10 s one retry is taken for every five first
 * attempts, and 50 in any case. Retries then multiply a load by 1.2 at most, however many attempts
 * clients make and at however many layers; a storm of retries is refused before any first attempt
 * is. A refused retry earns nothing, else a storm would pay for itself.
 *
 * The 50 are there for clients who have nothing left but retries: without them a worker that gets
 * no first attempts would refuse for ever. (Finagle's RetryBudget has minRetriesPerSec for that.)
 *
 * Pure: the clock is passed in. The caller locks.
 */
#ifndef BULKHEAD_RETRY_BUDGET_H
#define BULKHEAD_RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_BUDGET_SECONDS 10
#define RETRY_BUDGET_FLOOR   50
#define RETRY_BUDGET_PERCENT 20

struct retry_budget_count {
    uint64_t firsts; /* first attempts */
    uint64_t taken;  /* retries that were not refused */
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
