/* SPDX-License-Identifier: MIT */
/*
 * The run second by second, for the charts of the report, in constant memory: when there are more
 * seconds than columns, two columns become one.
 */
#ifndef BULKHEAD_LOADTEST_TIMELINE_H
#define BULKHEAD_LOADTEST_TIMELINE_H

#include <stddef.h>

#include "tools/loadtest/statistics.h"

#define TIMELINE_COLUMNS 300

/* Failed attempts, in as many classes as there are colours. */
enum error_class {
    ERROR_REFUSED, /* the connection was */
    ERROR_BROKEN,  /* reset, closed, unreachable */
    ERROR_TIMEOUT,
    ERROR_DROPPED,
    ERROR_WRONG, /* not HTTP, or not what was written */
    ERROR_503,
    ERROR_429,
    ERROR_HTTP, /* other statuses */
    ERROR_CLASSES
};

struct moment {
    uint64_t sent, ok, failed, attempts;
    uint64_t errors[ERROR_CLASSES];
    struct histogram_sum latency_us, probe_read_us, probe_health_us;
};

struct timeline {
    unsigned step_s; /* of a column */
    size_t count;    /* columns in use */
    struct moment *columns;
};

struct timeline *timeline_open(void);
void timeline_close(struct timeline *timeline);

/* The second under way in the statistics is over; `second` counts from 0 and never goes back. */
void timeline_add(struct timeline *timeline, uint64_t second, const struct statistics *statistics);

const char *error_class_name(enum error_class class);

#endif
