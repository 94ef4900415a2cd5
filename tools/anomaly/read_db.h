/* SPDX-License-Identifier: MIT */
/*
 * The console's metrics.db as a table. The file is opened read-only, and may be written meanwhile.
 * Its columns are asked for (PRAGMA table_info), not known: `t` (seconds since 1970) and a column a
 * series, or t, series and value, a row a number. With a column `step` only rows of the smallest
 * step are read.
 */
#ifndef BULKHEAD_ANOMALY_READ_DB_H
#define BULKHEAD_ANOMALY_READ_DB_H

#include "tools/anomaly/problem.h"
#include "tools/anomaly/table.h"

#define READ_DB_TABLE "metrics_events"

/* 0, or -1 with the problem told; the table is the caller's to free. */
int read_db_file(const char *path, struct table *table, struct problem *problem);

#endif
