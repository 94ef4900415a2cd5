/* SPDX-License-Identifier: MIT */
/*
 * Whether a failed attempt is followed by another, and after how long. Pure: randomness is passed
 * in. A create is retried with the same Idempotency-Key, so every failure below may be retried
 * without making the item twice.
 */
#ifndef BULKHEAD_LOADTEST_RETRY_H
#define BULKHEAD_LOADTEST_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/loadtest/outcome.h"

enum retry_kind { RETRY_NONE, RETRY_IMMEDIATE, RETRY_FIXED, RETRY_FULL_JITTER };

struct retry_policy {
    enum retry_kind kind;
    unsigned attempts; /* in all, the first included; 0: no limit */
};

/* Refused, unreachable, reset, closed, timed out, 429, 502, 503, 504: another attempt may succeed.
 * A dropped attempt is not retried: this program had no connection for it. */
bool retry_is_worthwhile(const struct outcome *outcome);

/* Decide after attempt number `attempt` (0 for the first) failed. True: wait *wait_ns, try again.
 */
bool retry_decide(const struct retry_policy *policy, const struct outcome *outcome,
                  unsigned attempt, uint64_t random, uint64_t *wait_ns);

/* The time before attempt + 1 by the policy alone. */
uint64_t retry_wait_ns(enum retry_kind kind, unsigned attempt, uint64_t random);

/* none | immediate | fixed | full-jitter; 0 or -EINVAL. */
int retry_parse(const char *text, enum retry_kind *kind);

const char *retry_name(enum retry_kind kind);

#endif
