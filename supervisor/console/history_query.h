/* SPDX-License-Identifier: MIT */
/*
 * The query of /api/history and its like: from, to (seconds since 1970, negative: before now), step
 * (1 or 10), series (names, comma-separated). Pure; it says which parameter is wrong and what would
 * be right.
 */
#ifndef BULKHEAD_CONSOLE_HISTORY_QUERY_H
#define BULKHEAD_CONSOLE_HISTORY_QUERY_H

#include <stdint.h>

#include "common/series.h"

struct history_query {
    int64_t from, to; /* both included; within what can be remembered, from <= to */
    unsigned step;
    unsigned series_count;
    enum series_id series[SERIES_NUMBER];
};

enum history_parameters {
    QUERY_FROM = 1u << 0,
    QUERY_TO = 1u << 1,
    QUERY_STEP = 1u << 2,
    QUERY_SERIES = 1u << 3,
    QUERY_ALL = QUERY_FROM | QUERY_TO | QUERY_STEP | QUERY_SERIES,
};

#define QUERY_ERROR_SIZE 200

/* Read a query string (NULL: none) as of now. Parameters outside `allowed` are errors, as are those
 * given twice. What is not given: the last 300 s, step 1, all series. 0, or -1 with one line. */
int history_query_parse(const char *query, int64_t now, unsigned allowed,
                        struct history_query *parsed, char error[QUERY_ERROR_SIZE]);

#endif
