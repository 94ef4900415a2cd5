/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/evaluate.h"

#include <string.h>

#define EARLY_S 1.0

static bool in_time(const struct truth *truth, const struct raised_alarm *alarm)
{
    return alarm->at_s >= truth->from_s - EARLY_S && alarm->at_s <= truth->to_s + truth->grace_s;
}

/* The first truth that expects this alarm, and that no earlier one has found. NULL: none. */
static struct truth *awaited_by(struct truth *truths, size_t count,
                                const struct raised_alarm *alarm)
{
    for (size_t i = 0; i < count; i++)
        if (truths[i].expected && !truths[i].found && in_time(&truths[i], alarm) &&
            strcmp(truths[i].metric, alarm->metric) == 0)
            return &truths[i];
    return NULL;
}

static bool speaks_of(const struct truth *truths, size_t count, const char *fault,
                      const char *metric)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(truths[i].fault, fault) == 0 && strcmp(truths[i].metric, metric) == 0)
            return true;
    return false;
}

/* Of an alarm that no truth awaits. */
static bool is_false(const struct truth *truths, size_t count, const struct raised_alarm *alarm)
{
    bool judged = false, of_another = false;
    for (size_t i = 0; i < count; i++) {
        bool same = strcmp(truths[i].metric, alarm->metric) == 0;
        judged |= same && truths[i].expected;
        if (!in_time(&truths[i], alarm))
            continue;
        if (same)
            return true;
        of_another |= !speaks_of(truths, count, truths[i].fault, alarm->metric);
    }
    return judged && !of_another;
}

static void find(struct truth *truth, const struct raised_alarm *alarm)
{
    truth->found = true;
    truth->delay_s = alarm->at_s > truth->from_s ? alarm->at_s - truth->from_s : 0;
}

static void find_denied(struct truth *truths, size_t count, const struct raised_alarm *alarm)
{
    for (size_t i = 0; i < count; i++)
        if (!truths[i].expected && !truths[i].found && in_time(&truths[i], alarm) &&
            strcmp(truths[i].metric, alarm->metric) == 0)
            find(&truths[i], alarm);
}

static void judge(struct truth *truths, size_t count, const struct raised_alarm *alarm,
                  struct evaluation *result)
{
    struct truth *awaited = awaited_by(truths, count, alarm);
    find_denied(truths, count, alarm);
    if (awaited) {
        find(awaited, alarm);
        result->true_alarms += 1;
    } else if (is_false(truths, count, alarm)) {
        result->false_alarms += 1;
    } else {
        result->unjudged += 1;
    }
}

struct evaluation evaluate(struct truth *truths, size_t truth_count,
                           const struct raised_alarm *alarms, size_t alarm_count)
{
    struct evaluation result = {.recall = 1, .precision = 1};
    for (size_t i = 0; i < truth_count; i++)
        truths[i].found = false;
    for (size_t i = 0; i < alarm_count; i++)
        judge(truths, truth_count, &alarms[i], &result);
    for (size_t i = 0; i < truth_count; i++) {
        const struct truth *truth = &truths[i];
        result.expected += truth->expected;
        if (!truth->expected || !truth->found)
            continue;
        result.found += 1;
        result.mean_delay_s += truth->delay_s;
        if (truth->delay_s > result.worst_delay_s)
            result.worst_delay_s = truth->delay_s;
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
