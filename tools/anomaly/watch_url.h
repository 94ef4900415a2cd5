/* SPDX-License-Identifier: MIT */
/*
 * A URL as a source: CSV that is read once, or Prometheus text that is read once a second and grows
 * a table row by row. A second that could not be read is a gap.
 */
#ifndef BULKHEAD_ANOMALY_WATCH_URL_H
#define BULKHEAD_ANOMALY_WATCH_URL_H

#include <signal.h>
#include <stdbool.h>

#include "tools/anomaly/problem.h"
#include "tools/anomaly/table.h"

struct url_watcher {
    const char *url;
    unsigned for_s;
    volatile sig_atomic_t *asked; /* not 0: end now */
    /* Called when the columns are known, and after each row. < 0 ends the watch. */
    int (*begin)(void *context);
    int (*row)(void *context, size_t row);
    void *context;
};

bool url_is(const char *source);

/* Whether the path of a URL ends with .csv. */
bool url_is_csv(const char *url);

/* 0, or -1 with the problem told; the table is the caller's to free. */
int url_read_csv(const char *url, struct table *table, struct problem *problem);
int url_watch(const struct url_watcher *watcher, struct table *table, struct problem *problem);

#endif
