/* SPDX-License-Identifier: MIT */
/*
 * The report of every second: rows of NDJSON and CSV in a directory, a line on a terminal.
 * Rows are written as the seconds end, so that a run that is killed leaves what it saw.
 */
#ifndef BULKHEAD_LOADTEST_REPORT_H
#define BULKHEAD_LOADTEST_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/json_out.h"
#include "tools/loadtest/statistics.h"
#include "tools/loadtest/timeline.h"

struct report;

/* directory NULL: no files; else it is made if need be. duration_ns is for the time left.
 * NULL with errno set when a file cannot be made. */
struct report *report_open(const char *directory, struct statistics *statistics,
                           uint64_t duration_ns, bool show_progress);
void report_close(struct report *report);

/* The run starts at this wall time. */
void report_start(struct report *report, uint64_t start_wall_us);

/* The rate of the phase under way, for the line on the terminal; 0: not worth telling. */
void report_rate(struct report *report, double rate);

/* A second ended, this long after the start: writes its row and begins the next. */
void report_second(struct report *report, uint64_t elapsed_ns, uint64_t in_flight);

/* What happened since the last row, if anything did; and the line on the terminal is taken away. */
void report_last_second(struct report *report, uint64_t elapsed_ns, uint64_t in_flight);

/* Write summary.json; does nothing without a directory. */
void report_summary(struct report *report, const char *json);

/* A file of this name in the directory, for the caller to write and close; NULL without a
 * directory, and when it cannot be made (which report_written tells). */
FILE *report_create(struct report *report, const char *name);

/* The seconds so far; NULL without a directory. */
const struct timeline *report_timeline(const struct report *report);

/* A file from report_create could not be written. */
void report_broken(struct report *report);

/* False when a file could not be written to its end. */
bool report_written(struct report *report);

/* Add an object of failures by cause: every cause of its own, and http_NNN that occurred. */
void report_failures(struct json_out *json, const struct failures *failures);

#endif
