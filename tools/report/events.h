/* SPDX-License-Identifier: MIT */
/*
 * The server's events, as `bulkheadctl events --json` prints them, and what charts show of them: a
 * fault is a band from its start to its end, what broke and what came back are marks. Owns what it
 * read. Lines that are no events are counted, not believed.
 */
#ifndef BULKHEAD_REPORT_EVENTS_H
#define BULKHEAD_REPORT_EVENTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/report/plot.h"

struct report_event {
    uint64_t id, cause_id;
    double at_s; /* since the start of the run; negative before it */
    char *name, *text;
};

struct report_events {
    struct report_event *all;
    size_t count;
    struct plot_band *bands; /* their labels are texts of `all` */
    size_t band_count;
    unsigned skipped; /* lines that could not be understood */
};

/* Read all lines; those from before_s before the run to end_s after its start are kept. A fault
 * without an end lasts to end_s. */
void report_events_read(struct report_events *events, FILE *in, uint64_t start_wall_us,
                        double before_s, double end_s);
void report_events_free(struct report_events *events);

/* A section with the events as a table; nothing when there are none. */
void report_events_write(FILE *out, const struct report_events *events);

/* Microseconds since 1970 of an RFC 3339 time in UTC; 0 when it is none. */
uint64_t report_wall_us(const char *rfc3339);

#endif
