/* SPDX-License-Identifier: MIT */
/*
 * A detector for each metric that is looked at, and the alarms they raised. It owns the detectors
 * and the list of alarms; the table stays its caller's. Pure: rows in, alarms out.
 */
#ifndef BULKHEAD_ANOMALY_ANALYSIS_H
#define BULKHEAD_ANOMALY_ANALYSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/anomaly/detector.h"
#include "tools/anomaly/table.h"

struct alarm {
    const char *metric; /* the table's */
    unsigned watched;
    int64_t from_s, until_s;  /* the points that raised it and the last it was under way at */
    double value, expected;   /* at the point that raised it */
    double score, peak_score; /* there, and the highest while it lasted */
    bool under_way;
};

struct watched {
    unsigned column;
    size_t points, gaps;
    int64_t last_s; /* the latest time there was: a clock may be set back */
    size_t alarm;   /* the last one of this metric */
    struct detector *detector;
};

struct analysis {
    const struct detector_preset *preset;
    const struct table *table;
    struct watched *watched;
    unsigned watched_count;
    struct alarm *alarms;
    size_t alarm_count, alarm_capacity;
};

/* Watch a column; least_step < 0 means the one of floors.h where the preset has floors. The
 * table's names must stay. 0 or -ENOMEM. */
int analysis_watch(struct analysis *analysis, unsigned column, double least_step, double step_s);

/* Show the detectors what was before the table's first row, by the names they have in common;
 * nothing of it is an alarm. */
void analysis_learn(struct analysis *analysis, const struct table *before);

/* Take a row of the table. The number of alarms it raised, the last ones of the list, or -ENOMEM.
 */
int analysis_take(struct analysis *analysis, size_t row);

void analysis_free(struct analysis *analysis);

#endif
