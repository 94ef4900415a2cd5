/* SPDX-License-Identifier: MIT */
/* What was found, as a table for a person and as NDJSON for a program. */
#ifndef BULKHEAD_ANOMALY_SHOW_H
#define BULKHEAD_ANOMALY_SHOW_H

#include <stdbool.h>
#include <stdio.h>

#include "tools/anomaly/analysis.h"
#include "tools/anomaly/evaluate.h"

struct shown {
    const char *source;
    const struct analysis *analysis;
    double step_s;
    const struct truth *truths; /* NULL: none were given */
    size_t truth_count;
    const struct evaluation *evaluation;
};

/* One alarm, at once: for a source that is still running. */
void show_raised(FILE *out, const struct alarm *alarm);
void show_raised_ndjson(FILE *out, const struct alarm *alarm);

void show_table(FILE *out, const struct shown *shown);

/* One line an alarm ("event": "alarm"), one a truth, and one "summary" at the end. */
void show_ndjson(FILE *out, const struct shown *shown);

#endif
