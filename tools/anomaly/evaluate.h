/* SPDX-License-Identifier: MIT */
/*
 * What a detector is worth: alarms held against what was broken on purpose. Pure.
 *
 * A truth is one metric of one fault: from, to, and whether it should have shown it. It is found by
 * an alarm raised from a second before it begins (a sample has the time of its second) until
 * `grace_s` after it ends (a queue has to drain; what had stopped comes back). One alarm finds one
 * truth: the first in time is true. A further one is false, as one of an outage that is told twice,
 * or of a recovery that is told after the outage.
 *
 * Judged are the metrics of truths that expect something. Their alarms that are not true are false,
 * in time or not; so is any alarm in time for a truth that expects its metric to be quiet. But what
 * is raised in time for a fault that says nothing at all of its metric is not judged: a fault may
 * well show in more than it must. Truths with the same fault's name are of one fault.
 */
#ifndef BULKHEAD_ANOMALY_EVALUATE_H
#define BULKHEAD_ANOMALY_EVALUATE_H

#include <stdbool.h>
#include <stddef.h>

#define EVALUATE_NAME_MAX 80

struct truth {
    char fault[EVALUATE_NAME_MAX];
    char metric[EVALUATE_NAME_MAX];
    double from_s, to_s, grace_s; /* from and to since 1970 */
    bool expected;

    /* filled in by evaluate() */
    bool found;
    double delay_s; /* of the alarm that found it, from the beginning; 0 at least */
};

struct raised_alarm {
    const char *metric;
    double at_s;
};

struct evaluation {
    unsigned expected, found; /* truths that expect an alarm */
    unsigned true_alarms, false_alarms, unjudged;
    double recall, precision;           /* 1 when there was nothing to find, no alarm */
    double mean_delay_s, worst_delay_s; /* of the found */
};

/* The alarms in the order in which they were raised. */
struct evaluation evaluate(struct truth *truths, size_t truth_count,
                           const struct raised_alarm *alarms, size_t alarm_count);

#endif
