/* SPDX-License-Identifier: MIT */
#include "common/retry_budget.h"

#include "common/clock.h"

static void age(struct retry_budget *budget, uint64_t second)
{
    if (second > budget->second + RETRY_BUDGET_SECONDS)
        budget->second = second - RETRY_BUDGET_SECONDS;
    while (budget->second < second) {
        struct retry_budget_count *old = &budget->bucket[++budget->second % RETRY_BUDGET_SECONDS];
        budget->total.firsts -= old->firsts;
        budget->total.taken -= old->taken;
        *old = (struct retry_budget_count){0};
    }
}

bool retry_budget_take(struct retry_budget *budget, bool is_retry, uint64_t now_ns)
{
    age(budget, now_ns / NS_PER_S);
    struct retry_budget_count *now = &budget->bucket[budget->second % RETRY_BUDGET_SECONDS];
    struct retry_budget_count *total = &budget->total;
    if (!is_retry) {
        now->firsts++;
        total->firsts++;
        return true;
    }
    if (total->taken >= RETRY_BUDGET_FLOOR &&
        (total->taken + 1) * 100 > total->firsts * RETRY_BUDGET_PERCENT)
        return false;
    now->taken++;
    total->taken++;
    return true;
}
