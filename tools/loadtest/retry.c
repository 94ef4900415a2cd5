/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/retry.h"

#include <errno.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"

#define FIXED_WAIT_NS (100 * NS_PER_MS)

static const struct backoff full_jitter = {.base_ns = 50 * NS_PER_MS, .cap_ns = NS_PER_S};

static const char *const names[] = {
    [RETRY_NONE] = "none",
    [RETRY_IMMEDIATE] = "immediate",
    [RETRY_FIXED] = "fixed",
    [RETRY_FULL_JITTER] = "full-jitter",
};

bool retry_is_worthwhile(const struct outcome *outcome)
{
    switch (outcome->cause) {
    case CAUSE_REFUSED:
    case CAUSE_UNREACHABLE:
    case CAUSE_RESET:
    case CAUSE_EOF:
    case CAUSE_TIMEOUT:
        return true;
    case CAUSE_HTTP:
        return outcome->status == 429 || outcome->status == 502 || outcome->status == 503 ||
               outcome->status == 504;
    default:
        return false;
    }
}

uint64_t retry_wait_ns(enum retry_kind kind, unsigned attempt, uint64_t random)
{
    if (kind == RETRY_FIXED)
        return FIXED_WAIT_NS;
    if (kind == RETRY_FULL_JITTER)
        return backoff_wait_ns(&full_jitter, attempt, random);
    return 0;
}

bool retry_decide(const struct retry_policy *policy, const struct outcome *outcome,
                  unsigned attempt, uint64_t random, uint64_t *wait_ns)
{
    if (policy->kind == RETRY_NONE || !retry_is_worthwhile(outcome))
        return false;
    if (policy->attempts > 0 && attempt + 1 >= policy->attempts)
        return false;
    *wait_ns = retry_wait_ns(policy->kind, attempt, random);
    return true;
}

int retry_parse(const char *text, enum retry_kind *kind)
{
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            *kind = (enum retry_kind)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *retry_name(enum retry_kind kind)
{
    return names[kind];
}
