/* SPDX-License-Identifier: MIT */
/*
 * How far a metric must move to matter, by its unit: the least step. A series that is always 0 has
 * no spread, and 5 % of 0 is 0, so without a step any error at all would score without limit, and
 * 3 ms instead of 1 would be an alarm of a fast server. docs/anomaly.md has the table and its
 * reasons. Pure.
 */
#ifndef BULKHEAD_ANOMALY_FLOORS_H
#define BULKHEAD_ANOMALY_FLOORS_H

#include <stdio.h>

#include "tools/anomaly/detector.h"

/* What is known of a metric of the history by its name; nothing for a name whose unit is not
 * known. */
struct detector_metric floors_of(const char *metric);

/* The metrics that are looked at when none is named, NULL-terminated. */
extern const char *const floors_default_metrics[];

/* The table of steps, for --help. */
void floors_print(FILE *out);

#endif
