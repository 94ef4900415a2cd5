/* SPDX-License-Identifier: MIT */
/*
 * Lines or stacked areas over time. A column of time has one value a series; NaN is a gap, which is
 * not 0. Pointing at a column tells its values.
 */
#ifndef BULKHEAD_REPORT_CHART_H
#define BULKHEAD_REPORT_CHART_H

#include <stdbool.h>

#include "tools/report/plot.h"

#define CHART_SERIES 16 /* the most in one chart */

struct chart_series {
    const char *name;
    const double *values; /* one a column */
    unsigned colour;      /* 0 to DOCUMENT_COLOURS - 1 */
};

struct chart {
    struct plot plot; /* to_s follows from the columns when it is not above from_s */
    double step_s;    /* width of a column; column i begins at plot.from_s + i·step_s */
    size_t columns;
    const struct chart_series *series;
    size_t series_count; /* at most CHART_SERIES */
    const struct plot_limit *limits;
    size_t limit_count;
    bool stacked;     /* areas on each other, the first at the bottom */
    bool logarithmic; /* lines only */
};

void chart_write(FILE *out, const struct chart *chart);

#endif
