/* SPDX-License-Identifier: MIT */
/*
 * What a detector is worth: alarms held against what was broken on purpose. Pure.
 *
 * A truth is one metric of one fault: from, to, and whether it should have shown it. It is found by
 * an alarm raised from a second before it begins (a sample has the time of its second) until
 * `grace_s` after it ends (a queue has to drain; what had stopped comes back).
 *
 * Judged are the metrics of truths that expect something. Of their alarms those in time for a truth
 * of their metric are true, those in time for one that expects nothing or for none at all false;
 * those in time only for faults that say nothing of their metric are not judged: a fault may well
 * show in more than it must.
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
    double delay_s; /* of the first alarm in time, from the beginning; 0 at least */
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

struct evaluation evaluate(struct truth *truths, size_t truth_count,
                           const struct raised_alarm *alarms, size_t alarm_count);

#endif
