/* SPDX-License-Identifier: MIT */
/*
 * A CSV file or text as a table: a header `time,a,b` (or `timestamp`, or `t`), then a row a line.
 * An empty cell is a gap. What is not such a file is named with its line; nothing is guessed.
 */
#ifndef BULKHEAD_ANOMALY_READ_CSV_H
#define BULKHEAD_ANOMALY_READ_CSV_H

#include <stdio.h>

#include "tools/anomaly/problem.h"
#include "tools/anomaly/table.h"

enum csv_order {
    CSV_ORDERED,  /* a time that goes back more than an hour is an error */
    CSV_AS_IT_IS, /* clocks set back are the data's own: keep the rows as they come */
};

/* `name` for messages. 0, or -1 with the problem told; the table is the caller's to free. */
int read_csv(FILE *file, const char *name, enum csv_order order, struct table *table,
             struct problem *problem);
int read_csv_file(const char *path, enum csv_order order, struct table *table,
                  struct problem *problem);

#endif
