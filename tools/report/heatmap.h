/* SPDX-License-Identifier: MIT */
/*
 * Counts by time and class (say, of latency): the fuller a cell, the stronger its colour. Strength
 * goes with the logarithm of the count: one slow request beside a thousand fast ones must be seen.
 */
#ifndef BULKHEAD_REPORT_HEATMAP_H
#define BULKHEAD_REPORT_HEATMAP_H

#include <stdint.h>

#include "tools/report/plot.h"

struct heatmap {
    struct plot plot; /* to_s follows from the columns when it is not above from_s */
    double step_s;
    size_t columns, rows;
    const uint64_t *counts;       /* of column c and row r at [c·rows + r]; row 0 is the bottom */
    const char *const *row_names; /* one a row, e.g. "20–50 ms" */
};

/* Rows without a count at the top and the bottom are left out. */
void heatmap_write(FILE *out, const struct heatmap *heatmap);

#endif
