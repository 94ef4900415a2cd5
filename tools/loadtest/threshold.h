/* SPDX-License-Identifier: MIT */
/*
 * Limits on the run's numbers, e.g. "p95<200" or "error_rate<=0.01". Pure.
 */
#ifndef BULKHEAD_LOADTEST_THRESHOLD_H
#define BULKHEAD_LOADTEST_THRESHOLD_H

#include <stdbool.h>

/* Latencies in milliseconds, the error rate from 0 to 1, rates in requests/s, the recovery in
 * seconds, everything else a count. */
enum metric {
    METRIC_P50,
    METRIC_P95,
    METRIC_P99,
    METRIC_MAX,
    METRIC_ERROR_RATE,
    METRIC_DROPPED,
    METRIC_REFUSED,
    METRIC_LOST,
    METRIC_DUPLICATE,
    METRIC_READ_P95,
    METRIC_WRITE_P95,
    METRIC_LOGIN_P95,
    METRIC_HEALTH_P99,
    METRIC_GOODPUT,
    METRIC_KNEE,     /* profile ramp */
    METRIC_RECOVERY, /* profile spike */
    METRIC_COUNT
};

enum comparison { BELOW, AT_MOST, EQUAL, ABOVE, AT_LEAST };

struct threshold {
    enum metric metric;
    enum comparison comparison;
    double limit;
};

/* metric, one of < <= == > >=, a number that is not negative; blanks between are allowed.
 * 0 or -EINVAL. */
int threshold_parse(const char *text, struct threshold *threshold);

/* False also when the value is NaN: what could not be measured does not pass. */
bool threshold_holds(const struct threshold *threshold, double value);

/* How far the value is from breaking the threshold: negative when it is broken, NaN when not
 * measured. For == it is 0 or what it is off by, negative. */
double threshold_margin(const struct threshold *threshold, double value);

/* "ms", "/s", "s" or "": what the metric's numbers are. */
const char *metric_unit(enum metric metric);

/* The text of a threshold in its normal form, at most THRESHOLD_TEXT bytes with its NUL. */
#define THRESHOLD_TEXT 48
void threshold_text(const struct threshold *threshold, char out[THRESHOLD_TEXT]);

const char *metric_name(enum metric metric);

#endif
