/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/evaluate.h"

#include <string.h>

#define EARLY_S 1.0

static bool in_time(const struct truth *truth, const struct raised_alarm *alarm)
{
    return alarm->at_s >= truth->from_s - EARLY_S && alarm->at_s <= truth->to_s + truth->grace_s;
}

enum verdict { VERDICT_TRUE, VERDICT_FALSE, VERDICT_NONE };

static enum verdict judge(const struct truth *truths, size_t count,
                          const struct raised_alarm *alarm)
{
    bool judged = false, of_a_fault = false, denied = false;
    for (size_t i = 0; i < count; i++) {
        bool same = strcmp(truths[i].metric, alarm->metric) == 0;
        judged |= same && truths[i].expected;
        if (!in_time(&truths[i], alarm))
            continue;
        of_a_fault = true;
        if (same && truths[i].expected)
            return VERDICT_TRUE;
        denied |= same;
    }
    return denied || (judged && !of_a_fault) ? VERDICT_FALSE : VERDICT_NONE;
}

static void find(struct truth *truth, const struct raised_alarm *alarms, size_t count)
{
    truth->found = false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(truth->metric, alarms[i].metric) != 0 || !in_time(truth, &alarms[i]))
            continue;
        double delay_s = alarms[i].at_s > truth->from_s ? alarms[i].at_s - truth->from_s : 0;
        if (!truth->found || delay_s < truth->delay_s)
            truth->delay_s = delay_s;
        truth->found = true;
    }
}

struct evaluation evaluate(struct truth *truths, size_t truth_count,
                           const struct raised_alarm *alarms, size_t alarm_count)
{
    struct evaluation result = {.recall = 1, .precision = 1};
    for (size_t i = 0; i < truth_count; i++) {
        struct truth *truth = &truths[i];
        find(truth, alarms, alarm_count);
        if (!truth->expected)
            continue;
        result.expected += 1;
        if (!truth->found)
            continue;
        result.found += 1;
        result.mean_delay_s += truth->delay_s;
        if (truth->delay_s > result.worst_delay_s)
            result.worst_delay_s = truth->delay_s;
    }
    for (size_t i = 0; i < alarm_count; i++) {
        enum verdict verdict = judge(truths, truth_count, &alarms[i]);
        result.true_alarms += verdict == VERDICT_TRUE;
        result.false_alarms += verdict == VERDICT_FALSE;
        result.unjudged += verdict == VERDICT_NONE;
    }
    if (result.found)
        result.mean_delay_s /= result.found;
    if (result.expected)
        result.recall = (double)result.found / result.expected;
    unsigned judged = result.true_alarms + result.false_alarms;
    if (judged)
        result.precision = (double)result.true_alarms / judged;
    return result;
}
